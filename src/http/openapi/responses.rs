//! Error responses of the document. A response that several operations share is defined once, in
//! `components/responses`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::http::code::Code;
use crate::http::oauth::{self, Credentials};

/// The member of an operation that lists its error codes.
pub(super) const ERROR_CODES: &str = "x-error-codes";

/// Errors of any request with an access token.
pub(super) const BEARER_CODES: [Code; 6] = [
    Code::AuthenticationRequired,
    Code::TokenInvalid,
    Code::TokenExpired,
    Code::TokenRevoked,
    Code::Overloaded,
    Code::Unavailable,
];

/// Prefix of references to responses.
const RESPONSES: &str = "#/components/responses/";

/// Returns the error responses of an operation with these codes, by status.
pub(super) fn of_codes(codes: &[Code]) -> BTreeMap<u16, Vec<Code>> {
    let mut groups: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        groups.entry(code.status().as_u16()).or_default().push(*code);
    }
    groups
}

/// Error responses by their codes, with the number of operations that have each.
#[derive(Default)]
pub(super) struct Shared(BTreeMap<Vec<Code>, usize>);

impl Shared {
    /// Counts the responses of an operation with these codes.
    pub(super) fn count(&mut self, codes: &[Code]) {
        for (_, group) in of_codes(codes) {
            *self.0.entry(group).or_default() += 1;
        }
    }

    /// Returns the response with these codes: a reference, if several operations share it.
    pub(super) fn response(&self, codes: &[Code]) -> Value {
        if self.is_shared(codes) {
            json!({"$ref": format!("{RESPONSES}{}", name_of(codes))})
        } else {
            error_response(codes)
        }
    }

    /// Returns the shared responses, by name.
    pub(super) fn components(&self) -> Map<String, Value> {
        let shared = self.0.keys().filter(|codes| self.is_shared(codes));
        let named: BTreeMap<String, Value> =
            shared.map(|codes| (name_of(codes), error_response(codes))).collect();
        named.into_iter().collect()
    }

    fn is_shared(&self, codes: &[Code]) -> bool {
        self.0.get(codes).is_some_and(|operations| *operations > 1)
    }
}

/// Returns a name made of the codes: `PayloadTooLarge`, `LastSuperuserOrUsernameTaken`. The codes
/// that every request with an access token has are one word.
fn name_of(codes: &[Code]) -> String {
    let status = codes.first().map(|code| code.status());
    let of_bearer: Vec<Code> =
        BEARER_CODES.into_iter().filter(|code| Some(code.status()) == status).collect();
    let has_all = of_bearer.len() > 1 && of_bearer.iter().all(|code| codes.contains(code));
    let is_unauthorized = of_bearer.contains(&Code::AuthenticationRequired);
    let is_told = |code: &&Code| !(has_all && is_unauthorized && of_bearer.contains(code));
    let others = codes.iter().filter(is_told).map(|code| camel_case(code.name()));
    let refused = (has_all && is_unauthorized).then(|| "AccessTokenRefused".to_owned());
    refused.into_iter().chain(others).collect::<Vec<String>>().join("Or")
}

fn camel_case(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(capital).collect()
}

fn error_response(codes: &[Code]) -> Value {
    let descriptions: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.name(), code.title())).collect();
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| (code.name().to_owned(), json!({"value": example(*code)})))
        .collect();
    let mut response = json!({
        "description": descriptions.join("\n\n"),
        "content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "examples": examples
        }}
    });
    let mut headers = Map::new();
    if let Some(challenge) = codes.iter().find_map(|code| code.challenge()) {
        let description = if codes.contains(&Code::PermissionDenied) {
            "The challenge of RFC 6750 section 3, with `permission_denied`; with the `scope` that an API key lacks."
        } else {
            "The challenge of RFC 6750 section 3; with an error code only where an access token was sent."
        };
        headers.insert(
            "WWW-Authenticate".into(),
            json!({
                "description": description,
                "required": codes.iter().all(|code| code.challenge().is_some()),
                "schema": {"type": "string"},
                "example": challenge
            }),
        );
    }
    if codes.iter().any(|code| code.retry_after().is_some()) {
        headers.insert(
            "Retry-After".into(),
            json!({
                "description": "Seconds to wait.",
                "required": true,
                "schema": {"type": "string", "pattern": "^[0-9]+$"},
                "example": "5"
            }),
        );
    }
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    response
}

/// Describes the errors of forms at an OAuth endpoint: they have `error` too, and some have status
/// 400. Where JSON is accepted as well, this is added to the responses to JSON.
pub(super) fn describe_forms(operation: &mut Value, codes: &[Code]) {
    let takes_json = operation["requestBody"]["content"].get("application/json").is_some();
    let mut groups: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        groups.entry(oauth::status_of(*code).as_u16()).or_default().push(*code);
    }
    for (status, codes) in groups.into_iter().filter(|(status, _)| !takes_json || *status == 400) {
        let mut response = error_response(&codes);
        if ![401, 403].contains(&status)
            && let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut)
        {
            headers.shift_remove("WWW-Authenticate");
        }
        if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
            && let Some(mut problem) = content.shift_remove("application/problem+json")
        {
            for code in &codes {
                let example = &mut problem["examples"][code.name()]["value"];
                example["status"] = status.into();
                example["error"] = oauth::error_of(*code, &[], Credentials::Client).into();
                example["error_description"] = oauth::description_of(code.title()).into();
            }
            // Generators stumble over two media types; the description names the one of forms.
            let kind = if takes_json { "application/problem+json" } else { "application/json" };
            content.insert(kind.to_owned(), problem);
        }
        operation["responses"][status.to_string()] = response;
    }
    if !takes_json && let Some(responses) = operation["responses"].as_object_mut() {
        responses.shift_remove("422");
    }
}

fn example(code: Code) -> Value {
    let mut example = json!({
        "type": format!("urn:hallpass:error:{}", code.name()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "detail": code.title(),
        "code": code.name(),
        "request_id": "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a12"
    });
    if code == Code::ValidationFailed {
        example["errors"] =
            json!([{"field": "email", "code": "required", "message": "This field is required."}]);
    }
    if let Some(seconds) = code.retry_after() {
        example["retry_after"] = seconds.into();
    }
    example
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_the_codes() {
        let bearer = [
            Code::AuthenticationRequired,
            Code::TokenInvalid,
            Code::TokenExpired,
            Code::TokenRevoked,
        ];
        assert_eq!(name_of(&bearer), "AccessTokenRefused");
        let with_password = [&[Code::InvalidCredentials][..], &bearer].concat();
        assert_eq!(name_of(&with_password), "AccessTokenRefusedOrInvalidCredentials");
        assert_eq!(name_of(&[Code::Overloaded, Code::Unavailable]), "OverloadedOrUnavailable");
        assert_eq!(name_of(&[Code::TokenInvalid]), "TokenInvalid");
    }

    #[test]
    fn what_one_operation_has_stands_there_and_what_several_have_stands_once() {
        let mut shared = Shared::default();
        shared.count(&[Code::NotFound, Code::RateLimited]);
        shared.count(&[Code::RateLimited]);
        let reference = json!({"$ref": "#/components/responses/RateLimited"});
        assert_eq!(shared.response(&[Code::RateLimited]), reference);
        assert_eq!(shared.response(&[Code::NotFound]), error_response(&[Code::NotFound]));
        assert_eq!(shared.components().keys().collect::<Vec<_>>(), ["RateLimited"]);
    }
}
