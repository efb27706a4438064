//! Tokens of a session (names of RFC 6749).

use actix_web::HttpResponseBuilder;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Transport;
use crate::flows::{self, LoggedIn};
use crate::http::browsers::Browsers;

/// An access token, and the refresh token for the next one.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// A JWT for `Authorization: Bearer`.
    #[schema(example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln")]
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer", pattern = "^Bearer$")]
    pub token_type: &'static str,
    /// Lifetime of the access token, in seconds.
    #[schema(example = 300)]
    pub expires_in: u64,
    /// For `token-refresh` and `token-revoke` only. Missing in cookie mode, where it is in a cookie
    /// that scripts cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        required = false,
        nullable = false,
        example = "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"
    )]
    pub refresh_token: Option<String>,
    /// Lifetime of an unused refresh token, in seconds.
    #[schema(example = 604_800)]
    pub refresh_expires_in: u64,
    /// After a log-in or a registration: send it at the next log-in on this device. It grants no
    /// access; it avoids the delays that failed log-ins of others cause. In cookie mode it is in a
    /// cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        required = false,
        nullable = false,
        example = "hpd_2kQ9wE0rT4yU8iO2pA6s0J4mC8bV2nX6zL1kS9dF3gH"
    )]
    pub device_token: Option<String>,
    /// The session of both tokens.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    pub session_id: String,
}

impl Transport {
    /// Returns the transport that `use_cookie` of a request selects.
    pub fn wanted(use_cookie: Option<bool>) -> Self {
        if use_cookie == Some(true) { Self::Cookie } else { Self::Body }
    }

    /// Delivers a new session: cookies are added to `response`, the rest is returned for its body.
    pub async fn deliver_log_in(
        self,
        LoggedIn { tokens, device_token }: LoggedIn,
        browsers: &Browsers,
        response: &mut HttpResponseBuilder,
    ) -> TokenPair {
        let mut pair = self.deliver(tokens, browsers, response).await;
        match self {
            Self::Cookie => drop(response.cookie(browsers.device_cookie(&device_token))),
            Self::Body => pair.device_token = Some(device_token.expose().to_owned()),
        }
        pair
    }

    /// Delivers a token pair in the same way, not before the time at which it is issued.
    pub async fn deliver(
        self,
        pair: flows::TokenPair,
        browsers: &Browsers,
        response: &mut HttpResponseBuilder,
    ) -> TokenPair {
        if !pair.issued_in.is_zero() {
            tokio::time::sleep(pair.issued_in).await;
        }
        let in_cookie = self == Self::Cookie;
        if in_cookie {
            for cookie in browsers.cookies(&pair) {
                response.cookie(cookie);
            }
        }
        TokenPair {
            access_token: pair.access_token,
            token_type: "Bearer",
            expires_in: pair.expires_in.as_secs(),
            refresh_token: (!in_cookie).then(|| pair.refresh_token.expose().to_owned()),
            refresh_expires_in: pair.refresh_expires_in.as_secs(),
            device_token: None,
            session_id: pair.session_id.0,
        }
    }
}
