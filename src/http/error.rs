//! Errors of the API as `application/problem+json` (RFC 9457). Causes are logged here, once, and
//! never sent.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::code::Code;
use super::oauth::{self, Credentials};
use super::schema::open_words;
use crate::domain::{Fault, Scope};
use crate::flows::{Error, FieldFault};
use crate::http::serving::request_id::{self, RequestIds};

/// An error of the API. All errors have this form.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Identifier of this kind of problem: `urn:hallpass:error:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:hallpass:error:validation_failed")]
    pub kind: String,
    /// Title of the problem, for people. May change.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// Explanation of this occurrence, for people. May change.
    pub detail: String,
    /// The stable code.
    #[schema(value_type = ErrorCode)]
    pub code: &'static str,
    /// Id of this request in the log of the service.
    pub request_id: String,
    /// Trace of the request according to a trusted reverse proxy (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String)]
    pub trace_id: Option<String>,
    /// All invalid fields, each with the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldProblem>,
    /// Seconds until a retry is worthwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = u32)]
    pub retry_after: Option<u32>,
    /// At the OAuth endpoints, for a form: the code of RFC 6749 section 5.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String, example = "invalid_grant")]
    pub error: Option<&'static str>,
    /// With `error`: the explanation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String)]
    pub error_description: Option<String>,
    /// With `/readyz`: the components that requests need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = Components)]
    pub components: Option<Components>,
}

/// The components of an instance that requests need. More may be added.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Components {
    /// `serving`, or `stopping` after the signal to stop.
    #[schema(example = "serving")]
    pub service: &'static str,
    /// `up` while it responds, else `down`.
    #[schema(example = "up")]
    pub database: &'static str,
    /// `impossible` while the database is read-only or its disk is full, `unknown` while it does not
    /// respond, else `possible`.
    #[schema(example = "possible")]
    pub writes: &'static str,
    /// The revocation list: `current`, or `stale` when it is too old to validate tokens.
    #[schema(example = "current")]
    pub revocations: &'static str,
    /// The keys of access tokens: `loaded` or `missing`.
    #[schema(example = "loaded")]
    pub keys: &'static str,
}

/// Problem of one field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field's name in the request.
    #[schema(example = "password")]
    pub field: String,
    /// The stable code.
    #[schema(value_type = FieldCode)]
    pub code: &'static str,
    /// Explanation, for people. May change.
    pub message: Cow<'static, str>,
    /// With `too_short`: the minimum length.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = u32, example = 8)]
    pub min: Option<usize>,
    /// With `too_long`: the maximum length, in characters unless the message says bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = u32, example = 256)]
    pub max: Option<usize>,
}

/// The codes of errors, as a type of the document.
pub struct ErrorCode;

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let names = Code::ALL.iter().map(|code| code.name());
        let description = "A stable code to switch on; `x-error-codes` of an operation lists its own. More codes \
                           may come: treat an unknown one by its status.";
        open_words(names, description)
    }
}

impl ToSchema for ErrorCode {}

/// The codes of faulty fields, as a type of the document.
pub struct FieldCode;

impl PartialSchema for FieldCode {
    fn schema() -> RefOr<Schema> {
        let description =
            "What is wrong with the field: stable, to switch on. More codes may come.";
        open_words(Fault::ALL.map(Fault::code), description)
    }
}

impl ToSchema for FieldCode {}

/// A failure with its code.
#[derive(Debug)]
pub struct ApiError {
    /// The code.
    pub code: Code,
    errors: Vec<FieldFault>,
    allow: Option<String>,
    retry_after: Option<u32>,
    components: Option<Box<Components>>,
    challenges: Option<&'static [&'static str]>,
    /// The scope that an API key lacks.
    scope: Option<Scope>,
    detail: Option<&'static str>,
    is_oauth: bool,
}

impl ApiError {
    /// Returns a 405 that names the supported methods.
    pub fn method_not_allowed(allow: String) -> Self {
        Self { allow: Some(allow), ..Self::from(Code::MethodNotAllowed) }
    }

    /// Returns a 503 that names the missing component.
    pub fn not_ready(components: Components) -> Self {
        Self { components: Some(Box::new(components)), ..Self::from(Code::Unavailable) }
    }

    /// Returns a 429 with the time to wait, in whole seconds.
    fn rate_limited(wait: Duration) -> Self {
        Self { retry_after: Some(whole_seconds(wait)), ..Self::from(Code::RateLimited) }
    }

    /// Returns the seconds until a retry is worthwhile.
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// Returns the invalid fields, each with the problem.
    pub fn faults(&self) -> &[FieldFault] {
        &self.errors
    }

    /// Returns the error with other challenges, each in a `WWW-Authenticate` of its own.
    #[must_use]
    pub fn with_challenges(self, challenges: &'static [&'static str]) -> Self {
        Self { challenges: Some(challenges), ..self }
    }

    /// Returns the error in the form of RFC 6749 section 5.2, for an OAuth library.
    #[must_use]
    pub fn of_oauth(self) -> Self {
        Self { is_oauth: true, ..self }
    }

    /// Returns the error with an explanation instead of the title of its code.
    #[must_use]
    pub fn with_detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// Returns the challenges of a 401, or of a 403 for missing rights.
    fn challenges(&self, status: StatusCode) -> Vec<String> {
        let usual = self.code.challenge();
        if status == StatusCode::UNAUTHORIZED {
            let challenges = self.challenges.unwrap_or(usual.as_slice());
            return challenges.iter().map(|it| (*it).to_owned()).collect();
        }
        let usual = usual.filter(|_| status == StatusCode::FORBIDDEN);
        let scope = self.scope.map(|it| format!(", scope=\"{}\"", it.name()));
        usual
            .map(|challenge| challenge.to_owned() + &scope.unwrap_or_default())
            .into_iter()
            .collect()
    }

    /// Returns a 422 that names the fields.
    pub fn invalid(errors: Vec<FieldFault>) -> Self {
        Self { errors, ..Self::from(Code::ValidationFailed) }
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self {
            code,
            errors: Vec::new(),
            allow: None,
            retry_after: code.retry_after(),
            components: None,
            challenges: None,
            scope: None,
            detail: None,
            is_oauth: false,
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Invalid(faults) => return Self::invalid(faults),
            Error::InvalidCredentials => Code::InvalidCredentials,
            Error::AccountDisabled => Code::AccountDisabled,
            Error::AuthenticationRequired => Code::AuthenticationRequired,
            Error::PermissionDenied => Code::PermissionDenied,
            Error::InsufficientScope(scope) => {
                return Self { scope: Some(scope), ..Self::from(Code::PermissionDenied) };
            }
            Error::TokenInvalid => Code::TokenInvalid,
            Error::TokenExpired => Code::TokenExpired,
            Error::TokenRevoked => Code::TokenRevoked,
            Error::RefreshTokenUnknown => Code::RefreshTokenUnknown,
            Error::RefreshTokenExpired => Code::RefreshTokenExpired,
            Error::RefreshTokenRevoked => Code::RefreshTokenRevoked,
            Error::RefreshTokenReused => Code::RefreshTokenReused,
            Error::RefreshTokenSuperseded => Code::RefreshTokenSuperseded,
            Error::CodeInvalid => Code::CodeInvalid,
            Error::OneTimeTokenInvalid => Code::OneTimeTokenInvalid,
            Error::OneTimeTokenExpired => Code::OneTimeTokenExpired,
            Error::ProofRequired => Code::ProofRequired,
            Error::RegistrationClosed => Code::RegistrationClosed,
            Error::ReauthRequired => Code::ReauthRequired,
            Error::TokenTooLarge(cause) => {
                tracing::error!(cause, "no access token can be issued");
                Code::TokenTooLarge
            }
            Error::LastSuperuser => Code::LastSuperuser,
            Error::UsernameTaken => Code::UsernameTaken,
            Error::EmailTaken => Code::EmailTaken,
            Error::IdentityConflict => Code::IdentityConflict,
            Error::LastLoginMethod => Code::LastLoginMethod,
            Error::ProviderUnavailable(cause) => {
                tracing::warn!(cause, "a provider is not available");
                Code::ProviderUnavailable
            }
            Error::NotFound => Code::NotFound,
            Error::RateLimited(wait) => return Self::rate_limited(wait),
            Error::Overloaded => Code::Overloaded,
            Error::Unavailable(cause) => {
                tracing::error!(cause, "unavailable");
                Code::Unavailable
            }
            Error::Internal(cause) => {
                tracing::error!(cause, "internal error");
                Code::InternalError
            }
        };
        code.into()
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.name())
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        if self.is_oauth { oauth::status_of(self.code) } else { self.code.status() }
    }

    fn error_response(&self) -> HttpResponse {
        let code = self.code;
        let errors: Vec<FieldProblem> = self
            .errors
            .iter()
            .map(|FieldFault { field, fault }| FieldProblem {
                field: field.clone(),
                code: fault.code(),
                message: fault.message(),
                min: fault.min(),
                max: fault.max(),
            })
            .collect();
        let RequestIds { request_id, trace_id } = request_id::current();
        let status = self.status_code();
        let detail = self.detail.map_or_else(|| detail(code, &errors), str::to_owned);
        // Clients have challenges of their own.
        let credentials = self.challenges.map_or(Credentials::Token, |_| Credentials::Client);
        let oauth_error = || oauth::error_of(code, &self.errors, credentials);
        let problem = Problem {
            kind: format!("urn:hallpass:error:{}", code.name()),
            title: code.title(),
            status: status.as_u16(),
            error: self.is_oauth.then(oauth_error),
            error_description: self.is_oauth.then(|| oauth::description_of(&detail)),
            detail,
            code: code.name(),
            request_id,
            trace_id,
            errors,
            retry_after: self.retry_after,
            components: self.components.as_deref().copied(),
        };
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        for challenge in self.challenges(status) {
            response.append_header((WWW_AUTHENTICATE, challenge));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        // RFC 6749 section 5.2; libraries refuse any other type.
        let is_oauth = self.is_oauth;
        response.content_type(if is_oauth {
            "application/json"
        } else {
            "application/problem+json"
        });
        match serde_json::to_string(&problem) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

/// Returns a time to wait in whole seconds, rounded up, as in `Retry-After`.
pub(crate) fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn detail(code: Code, errors: &[FieldProblem]) -> String {
    if errors.is_empty() {
        return code.title().to_owned();
    }
    let fields: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    fields.join(" ")
}
