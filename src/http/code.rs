//! The error codes of the API: stable, documented, each with its status.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $status:ident, $title:literal;)*) => {
        /// A code that clients switch on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is sent.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// Title of the problem, for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    MalformedRequest, "malformed_request", BAD_REQUEST, "The request, or the JSON object in its body, cannot be read.";
    InvalidCredentials, "invalid_credentials", UNAUTHORIZED, "The user name or the password is wrong.";
    AuthenticationRequired, "authentication_required", UNAUTHORIZED, "An access token or API key is required.";
    TokenInvalid, "token_invalid", UNAUTHORIZED, "The access token or API key is not valid.";
    TokenExpired, "token_expired", UNAUTHORIZED, "The access token or API key has expired.";
    TokenRevoked, "token_revoked", UNAUTHORIZED, "The access token or API key was revoked.";
    RefreshTokenUnknown, "refresh_token_unknown", UNAUTHORIZED, "The refresh token is unknown.";
    RefreshTokenExpired, "refresh_token_expired", UNAUTHORIZED, "The refresh token has expired.";
    RefreshTokenRevoked, "refresh_token_revoked", UNAUTHORIZED, "The session of the refresh token has ended.";
    RefreshTokenReused, "refresh_token_reused", UNAUTHORIZED, "The refresh token was used before; its session has ended.";
    RefreshTokenSuperseded, "refresh_token_superseded", UNAUTHORIZED, "The refresh token was just replaced and its successor is in use.";
    CodeInvalid, "code_invalid", UNAUTHORIZED, "The code is wrong, was used, or is for another purpose.";
    OneTimeTokenInvalid, "one_time_token_invalid", UNAUTHORIZED, "The token of the link is unknown or was used.";
    OneTimeTokenExpired, "one_time_token_expired", UNAUTHORIZED, "The link or code has expired.";
    AccountDisabled, "account_disabled", FORBIDDEN, "The account is disabled.";
    PermissionDenied, "permission_denied", FORBIDDEN, "The account or API key does not have this permission.";
    ProofRequired, "proof_required", FORBIDDEN, "More evidence is required: a link needs the registration token of its browser or the password; after too many failed log-ins an unknown device needs a password reset by mail.";
    RegistrationClosed, "registration_closed", FORBIDDEN, "Accounts are created by invitation only.";
    ReauthRequired, "reauth_required", FORBIDDEN, "Re-authentication is required: send the password, or log in again.";
    OriginRejected, "origin_rejected", FORBIDDEN, "The origin of the page is not allowed.";
    NotFound, "not_found", NOT_FOUND, "There is no such resource.";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "The resource does not allow this method.";
    RequestTimeout, "request_timeout", REQUEST_TIMEOUT, "The request did not arrive in time.";
    UsernameTaken, "username_taken", CONFLICT, "The username is taken.";
    EmailTaken, "email_taken", CONFLICT, "The e-mail address is taken.";
    TokenTooLarge, "token_too_large", CONFLICT, "The access token of the account would be longer than services accept: staff have to shorten its roles or metadata.";
    LastSuperuser, "last_superuser", CONFLICT, "The last active superuser cannot be disabled, demoted or deleted.";
    IdentityConflict, "identity_conflict", CONFLICT, "This identity or its e-mail address belongs to an account: log in to it with its password, then link the identity.";
    LastLoginMethod, "last_login_method", CONFLICT, "This is the only way to log in to the account: link another identity, or set a password by a password reset, first.";
    PayloadTooLarge, "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large.";
    HeaderFieldsTooLarge, "header_fields_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too many or too large.";
    UnsupportedMediaType, "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The operation does not accept this media type.";
    ValidationFailed, "validation_failed", UNPROCESSABLE_ENTITY, "Some fields are invalid.";
    RateLimited, "rate_limited", TOO_MANY_REQUESTS, "Too many attempts; try again later.";
    InternalError, "internal_error", INTERNAL_SERVER_ERROR, "Internal error.";
    Overloaded, "overloaded", SERVICE_UNAVAILABLE, "The service is overloaded; try again soon.";
    ProviderUnavailable, "provider_unavailable", SERVICE_UNAVAILABLE, "The provider is unavailable or its answer is invalid; try again soon.";
    Unavailable, "unavailable", SERVICE_UNAVAILABLE, "The service is temporarily unavailable; try again soon.";
}

impl Code {
    /// Returns the code of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Seconds until a retry is worthwhile, unless the error itself has a better value.
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited => Some(60),
            Self::Overloaded | Self::ProviderUnavailable => Some(5),
            Self::Unavailable => Some(2),
            _ => None,
        }
    }

    /// Returns the `WWW-Authenticate` header of a 401, and of the 403 for missing rights. It has an
    /// error code only if an access token or API key was sent (RFC 6750 section 3.1): a wrong
    /// password or refresh token is not a Bearer error.
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Self::TokenInvalid | Self::TokenExpired | Self::TokenRevoked => {
                Some("Bearer error=\"invalid_token\"")
            }
            Self::PermissionDenied => Some("Bearer error=\"insufficient_scope\""),
            _ if self.status() == StatusCode::UNAUTHORIZED => Some("Bearer"),
            _ => None,
        }
    }
}
