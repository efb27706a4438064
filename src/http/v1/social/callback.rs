//! `GET /v1/social/{provider}/callback`

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::PlainToken;
use crate::flows::{Flows, ProviderResponse};
use crate::http::error::ApiError;
use crate::http::state::State;

/// Parameters that a provider adds to the redirect URI. Further parameters are ignored (RFC 6749
/// section 4.1.2).
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `read_response` reads")]
pub struct CallbackQuery {
    /// The `state` of the authorization request.
    #[param(required = false)]
    state: Option<String>,
    /// The authorization code.
    #[param(required = false)]
    code: Option<String>,
    /// The issuer (RFC 9207).
    #[param(required = false)]
    iss: Option<String>,
    /// The error of the provider.
    #[param(required = false)]
    error: Option<String>,
}

#[utoipa::path(
    get,
    path = "/v1/social/{provider}/callback",
    operation_id = "socialCallback",
    tag = "social",
    summary = "Redirect URI of a provider",
    description = "Target of the redirect from a provider; register this URL there. Checks `state` and `iss`, changes nothing, and redirects to the `return_to` of the flow with `code` and `state`, or with `error`: `access_denied` and other codes of RFC 6749 and OpenID Connect, `server_error` for any other, `invalid_issuer`, `flow_expired` or `provider_unavailable`.",
    params(("provider" = String, Path, description = "The provider's `id`.", example = "google"), CallbackQuery),
    responses((status = 303, description = "To the front end.", headers(("Location" = String, description = "The page of the front end, with parameters.")))),
    extensions(("x-error-codes" = json!(["one_time_token_invalid", "overloaded", "unavailable"])))
)]
/// Redirects to the front end.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    provider: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    redirect(&state, provider.into_inner(), request.query_string().as_bytes()).await
}

/// Redirects to the front end of a flow, with the parameters that a provider sent in a query or a
/// form.
pub async fn redirect(
    state: &State,
    provider: String,
    form: &[u8],
) -> Result<HttpResponse, ApiError> {
    let response = read_response(form);
    let pass_on = move |flows: &Flows| flows.pass_provider_response_on(&provider, &response);
    let url = state.run(pass_on).await?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, url)).finish())
}

fn read_response(form: &[u8]) -> ProviderResponse {
    ProviderResponse {
        state: PlainToken::presented(only(form, "state").unwrap_or_default()),
        code: only(form, "code"),
        // A repeated one is none that could be compared, and is not a missing one either.
        issuer: only(form, "iss").or_else(|| has(form, "iss").then(String::new)),
        error: only(form, "error"),
    }
}

/// Returns the value of a parameter. No parameter may occur twice (RFC 6749 section 3.1).
fn only(form: &[u8], wanted: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(form).filter(|(name, _)| name == wanted);
    let (_, value) = values.next().filter(|_| values.next().is_none())?;
    Some(value.into_owned())
}

fn has(form: &[u8], wanted: &str) -> bool {
    form_urlencoded::parse(form).any(|(name, _)| name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_counts_if_it_occurs_once() {
        let response = read_response(b"state=s&code=c+1&code=c2&iss=https%3A%2F%2Fop.example&x=y");
        assert_eq!(response.state.expose(), "s");
        assert_eq!(response.code, None);
        assert_eq!(response.issuer.as_deref(), Some("https://op.example"));
        assert_eq!(read_response(b"code=c+1").code.as_deref(), Some("c 1"));
        assert_eq!(read_response(b"code=c+1").issuer, None);
        assert_eq!(read_response(b"iss=a&iss=a").issuer.as_deref(), Some(""));
    }
}
