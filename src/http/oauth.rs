//! Errors of the OAuth endpoints in the form of RFC 6749 section 5.2, in addition to the members of
//! a problem. Codes that this section lacks are those of its section 4.1.2.1 and of RFC 6750
//! section 3.1. Libraries read `error`, and take a body without it for an outage or for tokens.

use actix_web::http::StatusCode;

use super::code::Code;
use crate::domain::Fault;
use crate::flows::FieldFault;

/// The endpoints whose forms are answered so.
const PATHS: [&str; 3] = ["/v1/token-refresh", "/v1/introspect", "/v1/revoke"];

/// Returns whether forms of this path are answered with the errors of OAuth.
pub fn is_oauth(path: &str) -> bool {
    PATHS.contains(&path)
}

/// Credentials of a request to one of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A client secret, in a Basic header or in the form.
    Client,
    /// A Bearer token, or a token in the body or in a cookie.
    Token,
}

/// Returns the value of `error`.
pub fn error_of(code: Code, faults: &[FieldFault], credentials: Credentials) -> &'static str {
    match code {
        Code::RefreshTokenUnknown
        | Code::RefreshTokenExpired
        | Code::RefreshTokenRevoked
        | Code::RefreshTokenReused
        | Code::RefreshTokenSuperseded => "invalid_grant",
        Code::AuthenticationRequired => "invalid_client",
        Code::TokenInvalid | Code::TokenExpired | Code::TokenRevoked => match credentials {
            Credentials::Client => "invalid_client",
            Credentials::Token => "invalid_token",
        },
        Code::PermissionDenied => "insufficient_scope",
        Code::ValidationFailed if has_other_grant(faults) => "unsupported_grant_type",
        Code::RateLimited | Code::Overloaded | Code::Unavailable => "temporarily_unavailable",
        Code::TokenTooLarge | Code::InternalError => "server_error",
        _ => "invalid_request",
    }
}

fn has_other_grant(faults: &[FieldFault]) -> bool {
    faults.iter().any(|it| it.field == "grant_type" && it.fault == Fault::InvalidFormat)
}

/// Returns the status of an error: 400 where RFC 6749 says so.
pub fn status_of(code: Code) -> StatusCode {
    match error_of(code, &[], Credentials::Token) {
        "invalid_grant" => StatusCode::BAD_REQUEST,
        _ if code == Code::ValidationFailed => StatusCode::BAD_REQUEST,
        _ => code.status(),
    }
}

/// Returns a text with the characters that `error_description` may have.
pub fn description_of(detail: &str) -> String {
    let is_allowed = |it: &char| matches!(it, ' '..='!' | '#'..='[' | ']'..='~');
    detail.chars().filter(is_allowed).collect()
}
