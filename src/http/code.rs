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

            /// What it means, for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    MalformedRequest, "malformed_request", BAD_REQUEST, "The request, or the JSON object in its body, cannot be read.";
    InvalidCredentials, "invalid_credentials", UNAUTHORIZED, "The name or the password is wrong.";
    AuthenticationRequired, "authentication_required", UNAUTHORIZED, "An access token is required.";
    TokenInvalid, "token_invalid", UNAUTHORIZED, "The access token is not valid.";
    TokenExpired, "token_expired", UNAUTHORIZED, "The access token has expired.";
    TokenRevoked, "token_revoked", UNAUTHORIZED, "The access token was revoked.";
    RefreshTokenUnknown, "refresh_token_unknown", UNAUTHORIZED, "The refresh token is unknown.";
    RefreshTokenExpired, "refresh_token_expired", UNAUTHORIZED, "The refresh token has expired.";
    RefreshTokenRevoked, "refresh_token_revoked", UNAUTHORIZED, "The session of the refresh token was ended.";
    RefreshTokenReused, "refresh_token_reused", UNAUTHORIZED, "The refresh token was used before; its session was ended.";
    RefreshTokenSuperseded, "refresh_token_superseded", UNAUTHORIZED, "The refresh token was just replaced and its successor is in use.";
    CodeInvalid, "code_invalid", UNAUTHORIZED, "The code is wrong, used up or not for this.";
    OneTimeTokenInvalid, "one_time_token_invalid", UNAUTHORIZED, "The token of the link is unknown or used up.";
    OneTimeTokenExpired, "one_time_token_expired", UNAUTHORIZED, "The time of this link or code is over.";
    AccountDisabled, "account_disabled", FORBIDDEN, "The account is disabled.";
    PermissionDenied, "permission_denied", FORBIDDEN, "This account may not do that.";
    ProofRequired, "proof_required", FORBIDDEN, "That is not proof enough: a link needs the registration token of its browser or the password; after too many wrong passwords a log-in on a new device needs a password reset by mail.";
    RegistrationClosed, "registration_closed", FORBIDDEN, "Accounts are created by invitation only.";
    ReauthRequired, "reauth_required", FORBIDDEN, "The log-in is too long ago for this: send the password, or log in again.";
    OriginRejected, "origin_rejected", FORBIDDEN, "A page of this origin may not do that.";
    NotFound, "not_found", NOT_FOUND, "There is nothing at this address.";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "This address does not take this method.";
    RequestTimeout, "request_timeout", REQUEST_TIMEOUT, "The request did not arrive in time.";
    UsernameTaken, "username_taken", CONFLICT, "The username is taken.";
    EmailTaken, "email_taken", CONFLICT, "The e-mail address is taken.";
    LastSuperuser, "last_superuser", CONFLICT, "Without this account nobody could manage the others.";
    PayloadTooLarge, "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large.";
    HeaderFieldsTooLarge, "header_fields_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too many or too large.";
    UnsupportedMediaType, "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is of a media type that this operation does not take.";
    ValidationFailed, "validation_failed", UNPROCESSABLE_ENTITY, "Some fields are not acceptable.";
    RateLimited, "rate_limited", TOO_MANY_REQUESTS, "Too many attempts; try again later.";
    InternalError, "internal_error", INTERNAL_SERVER_ERROR, "Something went wrong here.";
    Overloaded, "overloaded", SERVICE_UNAVAILABLE, "There is too much to do; try again soon.";
    Unavailable, "unavailable", SERVICE_UNAVAILABLE, "Something that is needed does not answer; try again soon.";
}

impl Code {
    /// The code of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// After how many seconds it is worth trying again, where nobody knows better.
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited => Some(60),
            Self::Overloaded => Some(5),
            Self::Unavailable => Some(2),
            _ => None,
        }
    }

    /// The `WWW-Authenticate` header of a 401. It carries an error code only where an access token
    /// was sent (RFC 6750 section 3.1): a wrong password or refresh token is not a Bearer error.
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Self::TokenInvalid | Self::TokenExpired | Self::TokenRevoked => {
                Some("Bearer error=\"invalid_token\"")
            }
            _ if self.status() == StatusCode::UNAUTHORIZED => Some("Bearer"),
            _ => None,
        }
    }
}
