//! `POST /v1/social/{provider}/finish`

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{Email, Fault, FlowToken, Length, Locale, PlainToken, Transport};
use crate::flows::{FinishRequest, FinishedFlow, LoginContext};
use crate::http::browsers::device_cookie;
use crate::http::error::ApiError;
use crate::http::request::bearer::OptionalBearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::{Client, accepted_locale};
use crate::http::schema::{EmailAddress, LocaleTag};
use crate::http::state::State;
use crate::http::v1::account::log_in_or_verification::respond;
use crate::http::v1::social::finished::SocialFinished;

/// Limit of a code in code points. Codes of providers are shorter.
const MAX_CODE: usize = 4096;
const MAX_STATE: usize = 255;
const MAX_ISSUER: usize = 2048;

/// The parameters that the browser came back with, and the token that it kept.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SocialFinishRequest {
    /// From `start`.
    #[schema(value_type = String, example = "hps_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s")]
    flow_token: FlowToken,
    /// The parameter `code`.
    #[schema(value_type = String, min_length = 1, max_length = 4096, example = "SplxlOBeZQQYbYS6WxSbIA")]
    code: PlainToken,
    /// The parameter `state`.
    #[schema(value_type = String, min_length = 1, max_length = 255, example = "af0ifjsldkj")]
    state: PlainToken,
    /// The parameter `iss`, if there is one.
    #[schema(min_length = 1, max_length = 2048, example = "https://accounts.google.com")]
    iss: Option<String>,
    /// An e-mail address for a new account, used if the provider gives none. It is verified by a
    /// mail.
    #[schema(value_type = Option<EmailAddress>)]
    email: Option<Email>,
    /// The language of mail of a new account. Not given: from `Accept-Language`.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<Locale>,
    /// Put the refresh token into a cookie, for browsers. Not given: as at `start`.
    #[schema(example = false)]
    use_cookie: Option<bool>,
    /// From the last log-in on this device, if there was one. In cookie mode it is in a cookie.
    #[schema(value_type = Option<String>, example = "hpd_2kQ9wE0rT4yU8iO2pA6s0J4mC8bV2nX6zL1kS9dF3gH")]
    device_token: Option<PlainToken>,
}

/// Parses a text of at most `most` code points, which is what the document states.
pub fn bounded(text: &str, most: usize) -> Result<&str, Fault> {
    match text.chars().count() {
        0 => Err(Fault::Required),
        length if length > most => Err(Fault::TooLong(Length::Characters(most))),
        _ => Ok(text),
    }
}

impl Body for SocialFinishRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let token = |most| move |text: &str| bounded(text, most).map(PlainToken::presented);
        let flow_token = fields.required("flow_token", |text| Ok(FlowToken::presented(text)));
        let code = fields.required("code", token(MAX_CODE));
        let state = fields.required("state", token(MAX_STATE));
        let iss = fields.optional("iss", |text| bounded(text, MAX_ISSUER).map(str::to_owned));
        let email = fields.optional("email", Email::parse_typed);
        let locale = fields.optional("locale", Locale::parse);
        let use_cookie = fields.flag("use_cookie");
        let device_token = fields.optional("device_token", |text| Ok(PlainToken::presented(text)));
        let (flow_token, code, state) = (flow_token?, code?, state?);
        Some(Self { flow_token, code, state, iss, email, locale, use_cookie, device_token })
    }
}

#[utoipa::path(
    post,
    path = "/v1/social/{provider}/finish",
    operation_id = "finishSocialLogin",
    tag = "social",
    summary = "Finish a log-in at a provider",
    description = "Exchanges the code and logs in. If the e-mail address has to be verified first, the response is 202, as for `register`. After `identity_conflict` the user can log in with the password and then link the identity. A flow that was started with an access token needs an access token of the same account here; it links the identity and returns 200 with the status `linked`. A repeated request gets the same session; another code is refused. If neither the provider nor the request has an e-mail address, the response is 422 (`email`, `required`): start again, and send an address that the user typed.",
    params(("provider" = String, Path, description = "The provider's `id`.", example = "google")),
    request_body(content = SocialFinishRequest, example = json!({"flow_token": "hps_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s", "code": "SplxlOBeZQQYbYS6WxSbIA", "state": "af0ifjsldkj"})),
    responses(
        (status = 200, description = "Logged in, or the identity is linked.", body = SocialFinished),
        (status = 202, description = "A mail is on its way; `verify-email` takes its code with the registration token.", body = SocialFinished),
    ),
    security((), ("bearer" = [])),
    extensions(("x-error-codes" = json!(["one_time_token_invalid", "one_time_token_expired", "code_invalid", "account_disabled", "identity_conflict", "registration_closed", "not_found", "token_too_large", "origin_rejected", "rate_limited", "provider_unavailable"])))
)]
/// Finishes a log-in at a provider.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    OptionalBearer(claims): OptionalBearer,
    Client(device): Client,
    provider: web::Path<String>,
    Json(body): Json<SocialFinishRequest>,
) -> Result<HttpResponse, ApiError> {
    let device_token = body.device_token.or_else(|| device_cookie(&request));
    let finish = FinishRequest {
        provider: provider.into_inner(),
        flow_token: body.flow_token,
        code: body.code,
        state: body.state,
        issuer: body.iss,
        email: body.email,
        locale: body.locale.unwrap_or_else(|| accepted_locale(&request)),
        client: LoginContext { device, device_token },
        transport: body.use_cookie.map(|it| Transport::wanted(Some(it))),
        claims,
    };
    let transport = finish.transport();
    state.browsers.check(&request, transport)?;
    match state.run(move |flows| flows.finish_social_flow(&finish)).await? {
        FinishedFlow::LogIn(outcome) => {
            Ok(respond(&state, transport, outcome, StatusCode::OK).await)
        }
        FinishedFlow::Linked => Ok(HttpResponse::Ok().json(SocialFinished::LINKED)),
    }
}
