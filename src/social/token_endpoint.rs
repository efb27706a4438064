//! The token endpoint: exchanges a code for tokens (RFC 6749 section 4.1.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::request::CodeResponse;
use super::{ClientSecret, ProviderError, ProviderSettings};
use crate::domain::UtcTime;
use crate::outgoing::{Client, OutgoingError, Reply};

/// The name of the token endpoint in errors.
const TOKEN: &str = "token endpoint";
/// The longest error code of a provider that is logged.
const MAX_ERROR_CODE: usize = 64;

type Result<T> = std::result::Result<T, ProviderError>;

/// The token endpoint of a provider.
pub(super) struct TokenEndpoint<'a> {
    pub client: &'a Client,
    pub settings: &'a ProviderSettings,
    pub url: &'a str,
    /// True if the client secret goes into the `Authorization` header.
    pub uses_basic: bool,
    /// True if the authorization request had a code challenge.
    pub takes_verifier: bool,
}

/// The response.
#[derive(Deserialize)]
pub(super) struct TokenReply {
    pub access_token: Option<String>,
    pub id_token: Option<String>,
    error: Option<Value>,
}

impl TokenEndpoint<'_> {
    /// Exchanges a code.
    pub(super) fn exchange(&self, response: &CodeResponse<'_>, now: UtcTime) -> Result<TokenReply> {
        let request = &response.request;
        let client_id = self.settings.client_id.as_str();
        let secret = self.client_secret(now)?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", response.code),
            ("redirect_uri", request.redirect_uri),
        ];
        if self.takes_verifier {
            fields.push(("code_verifier", request.code_verifier));
        }
        if self.settings.token_request_has_state {
            fields.push(("state", request.state));
        }
        let basic = secret.as_deref().filter(|_| self.uses_basic);
        let authorization = basic.map(|secret| basic_credentials(client_id, secret));
        let mut headers = vec![("Accept", "application/json")];
        if let Some(authorization) = &authorization {
            headers.push(("Authorization", authorization));
        } else {
            fields.push(("client_id", client_id));
            fields.extend(secret.as_deref().map(|secret| ("client_secret", secret)));
        }
        read_token_reply(self.client.post_form(self.url, &headers, &fields))
    }

    fn client_secret(&self, now: UtcTime) -> Result<Option<String>> {
        match &self.settings.client_secret {
            ClientSecret::None => Ok(None),
            ClientSecret::Fixed(secret) => Ok(Some(secret.expose_text().to_owned())),
            ClientSecret::Apple(key) => {
                let issuer = self.settings.issuer.advertised();
                key.client_secret(&self.settings.client_id, issuer, now).map(Some)
            }
        }
    }
}

/// Returns the `Authorization` header of `client_secret_basic` (RFC 6749 section 2.3.1).
fn basic_credentials(client_id: &str, secret: &str) -> String {
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(client_id), encode(secret))))
}

/// Reads the response of the token endpoint. Some providers send errors with status 200.
fn read_token_reply(reply: std::result::Result<Reply, OutgoingError>) -> Result<TokenReply> {
    let Reply { status, body } =
        reply.map_err(|source| ProviderError::Call { endpoint: TOKEN, source })?;
    if status >= 500 || status == 429 || (300..400).contains(&status) {
        return Err(ProviderError::Status { endpoint: TOKEN, status });
    }
    let reply: TokenReply =
        serde_json::from_slice(&body).map_err(|error| ProviderError::unreadable(TOKEN, &error))?;
    match &reply.error {
        Some(error) => Err(refusal(error)),
        None if status != 200 => Err(ProviderError::Status { endpoint: TOKEN, status }),
        None => Ok(reply),
    }
}

/// Returns what an error of the token endpoint means. Facebook sends an object with a number.
fn refusal(error: &Value) -> ProviderError {
    let code = match error {
        Value::String(code) => code.clone(),
        error => error["code"].to_string(),
    };
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "_-".contains(*c);
    let code: String = code.chars().filter(is_plain).take(MAX_ERROR_CODE).collect();
    match code.as_str() {
        // RFC 6749 section 5.2; GitHub; Facebook: "Error validating client secret" and
        // "application".
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "incorrect_client_credentials"
        | "redirect_uri_mismatch"
        | "1"
        | "101" => ProviderError::Client(code),
        "temporarily_unavailable" | "server_error" => ProviderError::malformed(TOKEN, code),
        _ => ProviderError::Code(code),
    }
}
