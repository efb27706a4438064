//! `POST /v1/revoke`

use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::blocking::State;
use crate::http::error::ApiError;
use crate::http::form::Form;
use crate::http::service_credentials::{self, Presented};
use crate::http::v1::services::token_form::{TokenForm, TokenParameters};

#[utoipa::path(
    post,
    path = "/v1/revoke",
    operation_id = "revokeToken",
    tag = "services",
    summary = "Revoke a token",
    description = "Token revocation (RFC 7009), for services with an API key of the scope `revoke`: as the password of HTTP Basic, as `client_secret` of the form, or as a Bearer token. Ends the session of an access token or refresh token, and with it all of its tokens. Any other text is answered alike.",
    request_body(content = TokenParameters, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token is not active.")),
    security(("api_key" = []), ("client_secret" = [])),
    extensions(("x-error-codes" = json!(["permission_denied"])))
)]
/// Revokes a token.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    form: Result<Form<TokenForm>, ApiError>,
) -> Result<HttpResponse, ApiError> {
    // Who asks comes before what is asked.
    let client_secret = form.as_ref().ok().and_then(|Form(form)| form.client_secret.clone());
    let Presented { key, scheme } = service_credentials::presented(&request, client_secret)?;
    let Form(TokenForm { token, .. }) = form?;
    let revoked = state.run(move |flows| flows.revoke_token(&key, &token)).await;
    revoked.map_err(|error| scheme.refused(error))?;
    Ok(HttpResponse::Ok().finish())
}
