//! `POST /v1/not-me`

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::PlainToken;
use crate::http::blocking::State;
use crate::http::body::{Body, Fields, Json};
use crate::http::client::Client;
use crate::http::error::ApiError;

/// The link of a security notice.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotMeRequest {
    /// From the link.
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
    summary = "\"This was not me\"",
    description = "Takes the token of a security notice's link. Every session of the account ends, whatever waited for a click is void, an address that was changed comes back, and a mail offers a new password. The same link is answered the same way again, and does nothing more.",
    request_body(content = NotMeRequest, example = json!({"token": "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku"})),
    responses((status = 204, description = "Done.")),
    extensions(("x-error-codes" = json!(["one_time_token_invalid", "one_time_token_expired", "overloaded", "unavailable"])))
)]
/// Undoes what somebody else did.
pub async fn handle(
    state: web::Data<State>,
    Client(device): Client,
    Json(NotMeRequest { token }): Json<NotMeRequest>,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.disavow(&token, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
