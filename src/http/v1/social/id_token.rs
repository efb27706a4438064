//! `POST /v1/social/{provider}/token`

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{Email, Locale, PlainToken, Transport};
use crate::flows::{IdTokenRequest, LoginContext};
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json, MAX_BODY};
use crate::http::request::client::{Client, accepted_locale};
use crate::http::schema::{EmailAddress, LocaleTag};
use crate::http::state::State;
use crate::http::v1::account::log_in_or_verification::{LogInOrVerification, respond};
use crate::http::v1::social::finish::bounded;

const MAX_NONCE: usize = 255;

/// An id token that the provider issued to a native app.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SocialTokenRequest {
    /// The id token, for one of the client ids of `HALLPASS_SOCIAL_<PROVIDER>_NATIVE_CLIENT_IDS`.
    #[schema(value_type = String, min_length = 1, max_length = 12288, example = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln")]
    id_token: PlainToken,
    /// Random, made by the app for this log-in: the `nonce` of the id token, or the text of which
    /// that is the SHA-256 in hexadecimal.
    #[schema(min_length = 1, max_length = 255, example = "n-0S6_WzA2Mj")]
    nonce: String,
    /// An e-mail address for a new account, used if the id token has none. It is verified by a
    /// mail.
    #[schema(value_type = Option<EmailAddress>)]
    email: Option<Email>,
    /// The language of mail of a new account. Not given: from `Accept-Language`.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<Locale>,
    /// From the last log-in on this device, if there was one.
    #[schema(value_type = Option<String>, example = "hpd_2kQ9wE0rT4yU8iO2pA6s0J4mC8bV2nX6zL1kS9dF3gH")]
    device_token: Option<PlainToken>,
}

impl Body for SocialTokenRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let id_token =
            fields.required("id_token", |text| bounded(text, MAX_BODY).map(PlainToken::presented));
        let nonce = fields.required("nonce", |text| bounded(text, MAX_NONCE).map(str::to_owned));
        let email = fields.optional("email", Email::parse_typed);
        let locale = fields.optional("locale", Locale::parse);
        let device_token = fields.optional("device_token", |text| Ok(PlainToken::presented(text)));
        Some(Self { id_token: id_token?, nonce: nonce?, email, locale, device_token })
    }
}

#[utoipa::path(
    post,
    path = "/v1/social/{provider}/token",
    operation_id = "socialToken",
    tag = "social",
    summary = "Log in with an id token",
    description = "For native apps, which get an id token from the provider's own library. Each id token is valid for one log-in. The responses are those of `finish`.",
    params(("provider" = String, Path, description = "The provider's `id`.", example = "google")),
    request_body(content = SocialTokenRequest, example = json!({"id_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln", "nonce": "n-0S6_WzA2Mj"})),
    responses(
        (status = 200, description = "Logged in.", body = LogInOrVerification),
        (status = 202, description = "A mail is on its way; `verify-email` takes its code with the registration token.", body = LogInOrVerification),
    ),
    extensions(("x-error-codes" = json!(["one_time_token_invalid", "account_disabled", "identity_conflict", "registration_closed", "not_found", "token_too_large", "origin_rejected", "rate_limited", "provider_unavailable", "overloaded", "unavailable"])))
)]
/// Logs in with an id token.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    provider: web::Path<String>,
    Json(body): Json<SocialTokenRequest>,
) -> Result<HttpResponse, ApiError> {
    state.browsers.check(&request, Transport::Body)?;
    let log_in = IdTokenRequest {
        provider: provider.into_inner(),
        id_token: body.id_token,
        nonce: body.nonce,
        email: body.email,
        locale: body.locale.unwrap_or_else(|| accepted_locale(&request)),
        client: LoginContext { device, device_token: body.device_token },
    };
    let outcome = state.run(move |flows| flows.log_in_with_id_token(log_in)).await?;
    Ok(respond(&state, Transport::Body, outcome, StatusCode::OK).await)
}
