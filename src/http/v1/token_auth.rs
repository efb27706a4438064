//! `POST /v1/token-auth`

use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use super::token_pair::{TokenPair, Transport};
use crate::domain::{Fault, PlainPassword};
use crate::http::blocking::State;
use crate::http::body::{Body, Fields, Json};
use crate::http::client::Client;
use crate::http::error::ApiError;

/// Name and password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenAuthRequest {
    /// The username, or the e-mail address.
    #[schema(min_length = 1, max_length = 254, example = "mina@example.com")]
    username: String,
    /// The password.
    #[schema(value_type = String, format = "password", min_length = 1, max_length = 1024, example = "plum tree at dusk")]
    password: PlainPassword,
    /// Put the refresh token into a cookie, for browsers.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

/// No name and no address is longer.
const MAX_NAME: usize = 254;

impl Body for TokenAuthRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let username = fields.required("username", |text| match text.chars().count() {
            0 => Err(Fault::Required),
            1..=MAX_NAME => Ok(text.to_owned()),
            _ => Err(Fault::TooLong),
        });
        let password = fields.required("password", PlainPassword::parse);
        let use_cookie = fields.flag("use_cookie");
        Some(Self { username: username?, password: password?, use_cookie })
    }
}

#[utoipa::path(
    post,
    path = "/v1/token-auth",
    operation_id = "tokenAuth",
    tag = "token",
    summary = "Log in",
    description = "Opens a session for whoever knows the password. An unknown name is answered like a wrong password. With `use_cookie` (cookie mode) the refresh token comes in a `__Host-` cookie that scripts cannot read; such requests are taken from allowed origins only.",
    request_body(content = TokenAuthRequest, example = json!({"username": "mina@example.com", "password": "plum tree at dusk"})),
    responses((status = 200, description = "Logged in.", body = TokenPair)),
    extensions(("x-error-codes" = json!(["invalid_credentials", "account_disabled", "origin_rejected", "overloaded", "unavailable"])))
)]
/// Logs in.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(TokenAuthRequest { username, password, use_cookie }): Json<TokenAuthRequest>,
) -> Result<HttpResponse, ApiError> {
    let transport = Transport::wanted(use_cookie);
    state.browsers.check(&request, transport == Transport::Cookie)?;
    let pair = state.run(move |flows| flows.log_in(&username, &password, &device)).await?;
    let mut answer = HttpResponse::Ok();
    let pair = transport.deliver(pair, &state.browsers, &mut answer);
    Ok(answer.json(pair))
}
