//! `POST /v1/social/{provider}/callback`

use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::body::{MAX_BODY, collect};
use crate::http::request::form::is_form;
use crate::http::serving::backpressure::Intake;
use crate::http::state::State;
use crate::http::v1::social::callback::redirect;

/// Parameters of a provider with `response_mode=form_post`. Further fields are ignored: the `user`
/// of Apple is not signed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `read_response` reads")]
pub struct CallbackForm {
    /// The `state` of the authorization request.
    state: Option<String>,
    /// The authorization code.
    code: Option<String>,
    /// The issuer (RFC 9207).
    iss: Option<String>,
    /// The error of the provider.
    error: Option<String>,
}

#[utoipa::path(
    post,
    path = "/v1/social/{provider}/callback",
    operation_id = "socialFormCallback",
    tag = "social",
    summary = "Redirect URI of a provider, with a form",
    description = "The same for providers that send the browser with a form (Apple).",
    params(("provider" = String, Path, description = "The provider's `id`.", example = "apple")),
    request_body(content = CallbackForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "To the front end.", headers(("Location" = String, description = "The page of the front end, with parameters.")))),
    extensions(("x-error-codes" = json!(["one_time_token_invalid", "overloaded", "unavailable"])))
)]
/// Redirects to the front end.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    provider: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if !is_form(&request) {
        return Err(Code::UnsupportedMediaType.into());
    }
    let body = collect(&Intake::of(&request), payload.into_inner(), MAX_BODY).await?;
    redirect(&state, provider.into_inner(), &body.bytes).await
}
