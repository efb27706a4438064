//! The OpenAPI document, built from the route table. Every operation gets the responses for its own
//! error codes and for those of any request with a body.

#[cfg(feature = "docs-ui")]
pub mod docs;
mod for_generators;
mod reference;
mod responses;
mod version_3_0;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    self, ComponentsBuilder, ContactBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, ServerBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use self::responses::{BEARER_CODES, ERROR_CODES, Shared};
use super::code::Code;
use super::error::{Components, ErrorCode, FieldCode, FieldProblem, Problem};
use super::oauth;
use super::routes::{self, Endpoint};
use crate::http::schema::AccessTokenClaims;

/// Errors of every request with a body.
const BODY_CODES: [Code; 5] = [
    Code::MalformedRequest,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
];

/// Returns the error codes of `endpoint`.
pub fn error_codes(endpoint: &Endpoint) -> Vec<Code> {
    let operation = endpoint.operation();
    let named = operation
        .extensions
        .as_ref()
        .and_then(|extensions| extensions.get(ERROR_CODES))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| Code::from_name(name.as_str()?));
    let of_body = BODY_CODES.into_iter().filter(|_| operation.request_body.is_some());
    let of_bearer = BEARER_CODES.into_iter().filter(|_| operation.security.is_some());
    let mut codes: Vec<Code> =
        named.chain(of_body).chain(of_bearer).chain([Code::InternalError]).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Returns the document as pretty JSON, with a final newline: the printed and committed form.
pub fn document() -> String {
    pretty(&build())
}

/// Returns the document in the served form.
pub fn compact() -> String {
    build().to_string()
}

/// Returns the document in OpenAPI 3.0, in the served form.
pub fn compact_3_0() -> String {
    version_3_0::derive(build()).to_string()
}

/// Returns the document as a page of Markdown.
pub fn reference() -> String {
    reference::render(&build())
}

/// Returns the document in OpenAPI 3.0, in the printed form.
pub fn document_3_0() -> String {
    pretty(&version_3_0::derive(build()))
}

fn pretty(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

fn build() -> Value {
    let endpoints = routes::endpoints();
    let mut document = serde_json::to_value(base(&endpoints)).unwrap_or_default();
    // The one rule for passwords beyond length that a schema can state: not one character repeated
    // (up to 64 times).
    document["components"]["schemas"]["NewPassword"]["not"] =
        json!({"pattern": r"^([\s\S])\1{0,63}$"});
    let mut shared = Shared::default();
    let is_form = |path: &str| oauth::is_oauth(path) && path != "/v1/token-refresh";
    for endpoint in endpoints.iter().filter(|it| !is_form(&it.path)) {
        shared.count(&error_codes(endpoint));
    }
    document["components"]["responses"] = shared.components().into();
    for endpoint in &endpoints {
        let method = method_name(endpoint);
        let operation = &mut document["paths"][&endpoint.path][method];
        let codes = error_codes(endpoint);
        if endpoint.method == HttpMethod::Delete && operation.get("requestBody").is_some() {
            operation["requestBody"]["required"] = false.into();
        }
        operation[ERROR_CODES] = codes.iter().map(|code| code.name()).collect();
        for (status, codes) in responses::of_codes(&codes) {
            operation["responses"][status.to_string()] = shared.response(&codes);
        }
        if oauth::is_oauth(&endpoint.path) {
            responses::describe_forms(operation, &codes);
        }
    }
    list_words(&mut document);
    for_generators::simplify(&mut document);
    document
}

/// Turns patterns of fixed words into enums, on which generated clients switch.
fn list_words(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(words) = members.get("pattern").and_then(Value::as_str).and_then(words_of) {
                members.insert("enum".to_owned(), words.into());
                members.remove("pattern");
            }
            members.values_mut().for_each(list_words);
        }
        Value::Array(items) => items.iter_mut().for_each(list_words),
        _ => {}
    }
}

/// Returns the words of `^word$` or `^(one|other)$`; `None` for any other pattern.
fn words_of(pattern: &str) -> Option<Vec<String>> {
    let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
    let inner = inner.strip_prefix('(').and_then(|it| it.strip_suffix(')')).unwrap_or(inner);
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    };
    inner.split('|').map(|word| is_word(word).then(|| word.to_owned())).collect()
}

/// Returns the method of an endpoint, as OpenAPI spells it.
pub fn method_name(endpoint: &Endpoint) -> String {
    serde_json::to_value(&endpoint.method)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn base(endpoints: &[Endpoint]) -> OpenApi {
    let this_server = ServerBuilder::new()
        .url("/")
        .description(Some("The server that sent this document"))
        .build();
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([this_server]))
        .tags(Some(tags()))
        .paths(routes::paths(endpoints))
        .components(Some(components(endpoints)))
        .build()
}

fn info() -> Info {
    let license = "MIT OR Apache-2.0";
    InfoBuilder::new()
        .title("Hallpass")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name(license).identifier(Some(license)).build()))
        .contact(Some(ContactBuilder::new().name(Some("The Hallpass maintainers")).build()))
        .build()
}

fn tags() -> Vec<Tag> {
    [
        ("account", "Registration, verification of the e-mail address, and the own profile."),
        ("token", "Log in, refresh, check, log out."),
        ("password", "Password reset, change of the password, and the password policy."),
        ("session", "Sessions of the user."),
        ("social", "Log-in at other services, and the identities of an account."),
        ("users", "Accounts of other users, for staff."),
        ("api_keys", "API keys: the credentials of services, for superusers."),
        ("services", "Endpoints for services and reverse proxies that check access tokens."),
        ("configuration", "Settings that a front end needs."),
        ("operations", "Endpoints for the operator."),
    ]
    .map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build())
    .into()
}

fn components(endpoints: &[Endpoint]) -> openapi::Components {
    let schemas = endpoints
        .iter()
        .flat_map(Endpoint::schemas)
        .chain([
            (Problem::name().into_owned(), Problem::schema()),
            (Components::name().into_owned(), Components::schema()),
            (FieldProblem::name().into_owned(), FieldProblem::schema()),
            (FieldCode::name().into_owned(), FieldCode::schema()),
            (ErrorCode::name().into_owned(), ErrorCode::schema()),
            (AccessTokenClaims::name().into_owned(), AccessTokenClaims::schema()),
        ])
        .collect::<BTreeMap<_, _>>();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of a token pair."))
        .build();
    let api_key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("API key")
        .description(Some("An API key (`hpk_`), for services."))
        .build();
    let client_secret = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("Any client id, and an API key (`hpk_`) as the client secret."))
        .build();
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("api_key", SecurityScheme::Http(api_key))
        .security_scheme("client_secret", SecurityScheme::Http(client_secret))
        .build()
}

const DESCRIPTION: &str = "A headless auth service: registration, verification of e-mail addresses, log-in \
for a JWT, refresh, validation and log-out.\n\nEvery error is `application/problem+json` (RFC 9457) \
with a stable `code`; `x-error-codes` of an operation lists those it can send. Requests that are not \
HTTP/1.1, or that arrive too slowly, are refused before they are routed: `malformed_request`, \
`header_fields_too_large`, `request_timeout`. Paths are \
served with and without a final slash. Unknown fields are refused by name.";

#[cfg(test)]
mod tests {
    use super::*;

    /// Opaque texts. They are looked up, so their form is not checked.
    const OPAQUE: [&str; 5] =
        ["token", "registration_token", "refresh_token", "device_token", "flow_token"];

    #[test]
    fn every_text_that_a_request_takes_has_its_bounds_in_the_document() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let is_taken = |name: &str| {
            name.ends_with("Request") || name.ends_with("Proof") || name.starts_with("ResetBy")
        };
        let mut texts = 0;
        for (name, schema) in schemas.iter().filter(|(name, _)| is_taken(name)) {
            let is_one_of = schema.get("oneOf").is_some() || schema.get("anyOf").is_some();
            assert!(is_one_of || schema["additionalProperties"] == false, "{name} takes any field");
            for (field, value) in schema["properties"].as_object().into_iter().flatten() {
                let kinds = value["type"].to_string();
                assert_ne!(kinds, "null", "{name}.{field} has no type");
                if !kinds.contains("string") || OPAQUE.contains(&field.as_str()) {
                    continue;
                }
                let is_bounded = value["maxLength"].is_u64() || value["pattern"].is_string();
                assert!(is_bounded, "{name}.{field} has no bound");
                texts += 1;
            }
        }
        assert!(texts > 20, "{texts}");
    }

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let committed = include_str!("../../openapi/openapi.json");
        assert_eq!(committed, document(), "write it anew: hallpass openapi > openapi/openapi.json");
    }

    #[test]
    fn every_named_error_code_exists() {
        for endpoint in routes::endpoints() {
            let operation = endpoint.operation();
            let named = operation.extensions.as_ref().and_then(|it| it.get(ERROR_CODES));
            for name in named.and_then(Value::as_array).into_iter().flatten() {
                let name = name.as_str().unwrap();
                assert!(Code::from_name(name).is_some(), "{}: {name}", endpoint.path);
            }
        }
    }

    #[test]
    fn every_operation_has_what_a_client_generator_needs() {
        for endpoint in routes::endpoints() {
            let operation = endpoint.operation();
            assert!(operation.operation_id.is_some(), "{}", endpoint.path);
            assert!(operation.summary.is_some() && operation.description.is_some());
            assert_eq!(operation.tags.unwrap_or_default().len(), 1, "{}", endpoint.path);
        }
    }
}
