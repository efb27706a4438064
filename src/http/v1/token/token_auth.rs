//! `POST /v1/token-auth`

use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{Fault, Length, PlainPassword, PlainToken, Transport, trim_typed};
use crate::flows::{Flows, LogInOutcome, LoginContext};
use crate::http::browsers::device_cookie;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::state::State;
use crate::http::v1::token::token_pair::TokenPair;

/// User name or e-mail address, and password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenAuthRequest {
    /// The user name, or the e-mail address.
    #[schema(
        min_length = 1,
        max_length = 254,
        pattern = r"[^\s\u0085]",
        example = "mina@example.com"
    )]
    username: String,
    /// The password.
    #[schema(value_type = String, format = "password", min_length = 1, max_length = 1024, example = "plum tree at dusk")]
    password: PlainPassword,
    /// Set the refresh token as a cookie, for browsers.
    #[schema(example = false)]
    use_cookie: Option<bool>,
    /// Device token of the last log-in on this device, if there was one: failed log-ins elsewhere
    /// then do not delay this one. In cookie mode it is in a cookie.
    #[schema(value_type = Option<String>, example = "hpd_2kQ9wE0rT4yU8iO2pA6s0J4mC8bV2nX6zL1kS9dF3gH")]
    device_token: Option<PlainToken>,
}

/// Longest user name or e-mail address.
const MAX_NAME: usize = 254;

impl Body for TokenAuthRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let username = fields.required("username", |text| {
            if text.trim().is_empty() {
                return Err(Fault::Required);
            }
            // Empty if all characters are invisible: the name of no account.
            let name = trim_typed(text);
            if name.chars().count() > MAX_NAME {
                return Err(Fault::TooLong(Length::Characters(MAX_NAME)));
            }
            Ok(name.to_owned())
        });
        let password = fields.required("password", PlainPassword::parse);
        let use_cookie = fields.flag("use_cookie");
        let device_token = fields.optional("device_token", |text| Ok(PlainToken::presented(text)));
        Some(Self { username: username?, password: password?, use_cookie, device_token })
    }
}

#[utoipa::path(
    post,
    path = "/v1/token-auth",
    operation_id = "tokenAuth",
    tag = "token",
    summary = "Log in",
    description = "Checks user name and password and opens a session. An unknown name gets the same response as a wrong password. With `use_cookie` (cookie mode) the refresh token is sent in a `__Host-` cookie that scripts cannot read; such requests are accepted from allowed origins only. Failed log-ins cause growing but limited waits (429). After 100 consecutive ones by default, an unknown device needs a password reset by mail first (`proof_required`).",
    request_body(content = TokenAuthRequest, example = json!({"username": "mina@example.com", "password": "plum tree at dusk"})),
    responses((status = 200, description = "Logged in.", body = TokenPair)),
    extensions(("x-error-codes" = json!(["invalid_credentials", "account_disabled", "proof_required", "token_too_large", "origin_rejected", "rate_limited", "overloaded", "unavailable"])))
)]
/// Logs in.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(body): Json<TokenAuthRequest>,
) -> Result<HttpResponse, ApiError> {
    let TokenAuthRequest { username, password, use_cookie, device_token } = body;
    let transport = Transport::wanted(use_cookie);
    state.browsers.check(&request, transport)?;
    let device_token = device_token.or_else(|| device_cookie(&request));
    let login_context = LoginContext { device, device_token };
    let log_in = move |flows: &Flows| flows.log_in(&username, &password, &login_context, transport);
    let LogInOutcome::LoggedIn(log_in) = state.run(log_in).await?;
    let mut answer = HttpResponse::Ok();
    let pair = transport.deliver_log_in(log_in, &state.browsers, &mut answer).await;
    Ok(answer.json(pair))
}
