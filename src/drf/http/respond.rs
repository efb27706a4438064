//! Responses in the form of the reference: compact JSON and its headers.

use std::io;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize as _;
use serde_json::{Value, json};

use crate::domain::UserId;
use crate::drf::http::authentication::Schemes;
use crate::drf::http::negotiation::Indent;
use crate::drf::http::pages::Page;
use crate::drf::http::parsing::fields::Faults;
use crate::http::error::whole_seconds;
use crate::http::serving::slices;

/// The message for a request without credentials.
pub const NOT_AUTHENTICATED: &str = "Authentication credentials were not provided.";
/// The message for a wrong user name or password.
pub const WRONG_PASSWORD: &str = "Invalid username/password.";
/// The message for a token that has expired or was revoked.
pub const EXPIRED: &str = "Signature has expired.";

/// A response before it is serialized.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    status: StatusCode,
    body: Body,
    location: Option<Box<str>>,
    retry_after: Option<u32>,
    challenge: Option<Schemes>,
    indent: Indent,
    /// True if the log-in was checked.
    log_in_checked: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    /// A response without body and content type.
    None,
    Json(Value),
    /// The first part of a list that may exceed the memory. It continues after that user.
    List(Vec<Value>, UserId),
}

impl Answer {
    /// Returns a 200 with this body.
    pub fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, Body::Json(body))
    }

    /// Returns 200 with a list that continues after the user `next`.
    pub fn list(list: Vec<Value>, next: Option<UserId>) -> Self {
        match next {
            Some(next) => Self::new(StatusCode::OK, Body::List(list, next)),
            None => Self::ok(Value::Array(list)),
        }
    }

    /// Returns 201 with the created object and its URL.
    pub fn created(body: Value, location: String) -> Self {
        Self { location: Some(location.into()), ..Self::new(StatusCode::CREATED, Body::Json(body)) }
    }

    /// Returns a 204.
    pub fn deleted() -> Self {
        Self::new(StatusCode::NO_CONTENT, Body::None)
    }

    /// Returns an error with one message.
    pub fn detail(status: StatusCode, text: &str) -> Self {
        Self::new(status, Body::Json(json!({ "detail": text })))
    }

    /// Returns 400 for a fault that belongs to no field.
    pub fn non_field_error(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Body::Json(json!({ "non_field_errors": [text] })))
    }

    /// Returns 400 with the faults of each field, in the order of the fields.
    pub fn field_errors(faults: impl IntoIterator<Item = (&'static str, Faults)>) -> Self {
        let body =
            faults.into_iter().map(|(name, texts)| (name.to_owned(), json!(texts))).collect();
        Self::new(StatusCode::BAD_REQUEST, Body::Json(Value::Object(body)))
    }

    /// Returns a 404.
    pub fn not_found() -> Self {
        Self::detail(StatusCode::NOT_FOUND, "Not found.")
    }

    /// Returns 403: authenticated, but not allowed.
    pub fn forbidden() -> Self {
        Self::detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action.")
    }

    /// Returns a 405.
    pub fn method_not_allowed(method: &str) -> Self {
        let text = format!("Method \"{method}\" not allowed.");
        Self::detail(StatusCode::METHOD_NOT_ALLOWED, &text)
    }

    /// Returns 503: the service is not available.
    pub fn unavailable(retry_after: Option<u32>) -> Self {
        let text = "Service temporarily unavailable.";
        Self { retry_after, ..Self::detail(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    /// Returns 429, with the message of the reference's own throttles.
    pub fn throttled(wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        let plural = if seconds == 1 { "" } else { "s" };
        let text =
            format!("Request was throttled. Expected available in {seconds} second{plural}.");
        Self { retry_after: Some(seconds), ..Self::detail(StatusCode::TOO_MANY_REQUESTS, &text) }
    }

    /// Returns 500. The cause is logged where it occurs.
    pub fn internal_error() -> Self {
        Self::detail(StatusCode::INTERNAL_SERVER_ERROR, "A server error occurred.")
    }

    /// Adds a `WWW-Authenticate` header, if it is a 401.
    #[must_use]
    pub fn with_challenge(self, schemes: Schemes) -> Self {
        let is_unauthorized = self.status == StatusCode::UNAUTHORIZED;
        Self { challenge: is_unauthorized.then_some(schemes), ..self }
    }

    /// Returns the response to a request whose log-in was checked, with this indentation.
    #[must_use]
    pub fn after_log_in_check(self, indent: Indent) -> Self {
        Self { indent, log_in_checked: true, ..self }
    }

    fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            body,
            location: None,
            retry_after: None,
            challenge: None,
            indent: None,
            log_in_checked: false,
        }
    }

    /// Returns the user after whom the rest of a long list begins.
    pub fn next(&self) -> Option<UserId> {
        match self.body {
            Body::List(_, next) => Some(next),
            Body::None | Body::Json(_) => None,
        }
    }

    /// Serializes the response of `page`.
    pub fn write(self, page: &Page) -> HttpResponse {
        self.write_with(page, stream::empty())
    }

    /// Serializes a response whose list continues with `rest`, which is read while it is sent.
    pub fn write_with(
        self,
        page: &Page,
        rest: impl Stream<Item = Result<Vec<Value>, io::Error>> + 'static,
    ) -> HttpResponse {
        let mut response = self.head(page);
        let indent = self.indent;
        match self.body {
            Body::None => response.finish(),
            Body::Json(body) => {
                let text = render(&body, indent);
                response.content_type("application/json").body(slices::of(text.into()))
            }
            Body::List(values, _) => {
                let mut list = ListText::new(indent);
                let beginning = list.items(&values);
                let rest = rest.map_ok(move |values| list.items(&values));
                let end = ListText::end(indent);
                let texts =
                    stream::iter([Ok(beginning)]).chain(rest).chain(stream::iter([Ok(end)]));
                response.content_type("application/json").streaming(texts.map_ok(Bytes::from))
            }
        }
    }

    fn head(&self, page: &Page) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status);
        if !page.methods().is_empty() {
            let cookies = self.log_in_checked && page.looks_at_cookies();
            response
                .insert_header((header::VARY, if cookies { "Accept, Cookie" } else { "Accept" }));
            response.insert_header((header::ALLOW, page.methods().join(", ")));
        }
        response.insert_header((header::X_FRAME_OPTIONS, "DENY"));
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response.insert_header((header::REFERRER_POLICY, "same-origin"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(schemes) = self.challenge {
            response.insert_header((header::WWW_AUTHENTICATE, schemes.challenge()));
        }
        if let Some(location) = &self.location {
            response.insert_header((header::LOCATION, &**location));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response
    }
}

/// The text of a long list, identical to that of [`render`].
struct ListText {
    indent: Indent,
    is_begun: bool,
}

impl ListText {
    fn new(indent: Indent) -> Self {
        Self { indent, is_begun: false }
    }

    /// Returns the text of the next items, with separators.
    fn items(&mut self, values: &[Value]) -> String {
        let line = self.indent.map(|spaces| format!("\n{}", " ".repeat(spaces)));
        let line = line.unwrap_or_default();
        let mut text = String::new();
        for value in values {
            text.push(if self.is_begun { ',' } else { '[' });
            self.is_begun = true;
            text.push_str(&line);
            // No JSON text contains a line break of its own.
            text.push_str(&render(value, self.indent).replace('\n', &line));
        }
        text
    }

    /// Returns the text after the last item.
    fn end(indent: Indent) -> String {
        if indent.is_some() { "\n]".to_owned() } else { "]".to_owned() }
    }
}

fn render(body: &Value, indent: Indent) -> String {
    let text = match indent {
        None => body.to_string(),
        Some(spaces) => {
            let indent = " ".repeat(spaces);
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            let mut bytes = Vec::new();
            let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
            match body.serialize(&mut writer) {
                Ok(()) => String::from_utf8(bytes).unwrap_or_else(|_| body.to_string()),
                Err(_) => body.to_string(),
            }
        }
    };
    // The reference escapes these for old JavaScript.
    text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compact_and_keeps_its_characters() {
        let body = json!({"b": "한\u{2028}\n\u{1}", "a": []});
        assert_eq!(render(&body, None), "{\"b\":\"한\\u2028\\n\\u0001\",\"a\":[]}");
        assert_eq!(render(&json!({"a": [1]}), Some(2)), "{\n  \"a\": [\n    1\n  ]\n}");
    }

    #[test]
    fn a_list_in_pieces_reads_as_one_in_one_piece() {
        let items = [json!({"a": "x\ny", "b": []}), json!({"a": {"c": "\u{2028}"}}), json!(1)];
        for indent in [None, Some(0), Some(1), Some(4)] {
            let mut list = ListText::new(indent);
            let pieces = [list.items(&items[..1]), list.items(&items[1..]), ListText::end(indent)];
            assert_eq!(pieces.concat(), render(&json!(items), indent), "{indent:?}");
        }
    }

    #[test]
    fn faults_stand_in_the_order_of_the_fields() {
        let answer = Answer::field_errors([("username", vec!["a".into()]), ("email", vec![])]);
        let Body::Json(body) = answer.body else { panic!("no body") };
        assert_eq!(body.to_string(), r#"{"username":["a"],"email":[]}"#);
    }
}
