//! `POST /v1/not-me`

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::PlainToken;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::state::State;

/// The link of a security notice.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotMeRequest {
    /// The token of the mail's link.
    #[schema(value_type = String, example = "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku")]
    token: PlainToken,
}

impl Body for NotMeRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { token: fields.required("token", |text| Ok(PlainToken::presented(text)))? })
    }
}

#[utoipa::path(
    post,
    path = "/v1/not-me",
    operation_id = "reportNotMe",
    tag = "session",
    summary = "Report unauthorized activity",
    description = "Takes the token of a security notice's link. Every session of the account ends, pending one-time tokens become invalid, a change of the e-mail address is reverted, API keys that the user created since the notice are revoked, and a mail offers a password reset. A repeated request gets the same answer and changes nothing more.",
    request_body(content = NotMeRequest, example = json!({"token": "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku"})),
    responses((status = 204, description = "The account is secured.")),
    extensions(("x-error-codes" = json!(["one_time_token_invalid", "one_time_token_expired", "overloaded", "unavailable"])))
)]
/// Reports unauthorized activity and reverts it.
pub async fn handle(
    state: web::Data<State>,
    Client(device): Client,
    Json(NotMeRequest { token }): Json<NotMeRequest>,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.report_unauthorized(&token, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
