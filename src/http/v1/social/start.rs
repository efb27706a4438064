//! `POST /v1/social/{provider}/start`

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Fault, Length, Transport};
use crate::flows;
use crate::http::error::ApiError;
use crate::http::request::bearer::OptionalBearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::state::State;

/// Limit of the URL of a page, in bytes.
const MAX_URL: usize = 2048;

/// A log-in at a provider, to be started.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SocialStartRequest {
    /// The page of the front end that the browser returns to: exactly one of
    /// `HALLPASS_SOCIAL_RETURN_URLS`.
    #[schema(max_length = 2048, example = "https://app.example.com/signed-in")]
    return_to: String,
    /// Put the refresh token of the session into a cookie, for browsers.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

impl Body for SocialStartRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let return_to = fields.required("return_to", |text| match text.chars().count() {
            0..=MAX_URL => Ok(text.to_owned()),
            _ => Err(Fault::TooLong(Length::Characters(MAX_URL))),
        });
        let use_cookie = fields.flag("use_cookie");
        Some(Self { return_to: return_to?, use_cookie })
    }
}

/// A log-in at a provider, started.
#[derive(Serialize, ToSchema)]
pub struct SocialStarted {
    /// The URL to send the browser to.
    #[schema(example = "https://accounts.google.com/o/oauth2/v2/auth?client_id=example")]
    authorization_url: String,
    /// Keep it in this browser (`sessionStorage`) for `finish`. It never goes to the provider.
    #[schema(example = "hps_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s")]
    flow_token: String,
    /// Time in which the log-in must be finished, in seconds.
    #[schema(example = 600)]
    expires_in: u64,
}

#[utoipa::path(
    post,
    path = "/v1/social/{provider}/start",
    operation_id = "startSocialLogin",
    tag = "social",
    summary = "Start a log-in at a provider",
    description = "Returns the URL to redirect the browser to. The browser comes back to `return_to` with the parameters `code` and `state` (and `iss`), or with `error`; `finish` takes them together with `flow_token`. With an access token the flow links the identity to its account; the log-in must be recent.",
    params(("provider" = String, Path, description = "The provider's `id`.", example = "google")),
    request_body(content = SocialStartRequest, example = json!({"return_to": "https://app.example.com/signed-in"})),
    responses((status = 200, description = "Redirect the browser.", body = SocialStarted)),
    security((), ("bearer" = [])),
    extensions(("x-error-codes" = json!(["not_found", "reauth_required", "origin_rejected", "rate_limited", "provider_unavailable"])))
)]
/// Starts a log-in at a provider.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    OptionalBearer(claims): OptionalBearer,
    Client(device): Client,
    provider: web::Path<String>,
    Json(SocialStartRequest { return_to, use_cookie }): Json<SocialStartRequest>,
) -> Result<web::Json<SocialStarted>, ApiError> {
    let transport = Transport::wanted(use_cookie);
    state.browsers.check(&request, transport)?;
    let provider = provider.into_inner();
    let start = flows::StartRequest { provider, return_to, transport, device, claims };
    let started = state.run(move |flows| flows.start_social_flow(start)).await?;
    Ok(web::Json(SocialStarted {
        authorization_url: started.authorization_url,
        flow_token: started.flow_token.expose().to_owned(),
        expires_in: started.expires_in.as_secs(),
    }))
}
