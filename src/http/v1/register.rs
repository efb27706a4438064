//! `POST /v1/register`

use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::token_pair::{TokenPair, Transport};
use crate::domain::{Email, Locale, PlainPassword, Username};
use crate::flows::{self, WaitingProof};
use crate::http::blocking::State;
use crate::http::body::{Body, Fields, Json};
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::schema::{ChosenUsername, EmailAddress, LocaleTag, NewPassword};

/// Somebody who wants an account.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The address. It is proven by a mail.
    #[schema(value_type = EmailAddress)]
    email: Email,
    /// The password; see `GET /v1/password-policy`.
    #[schema(value_type = NewPassword)]
    password: PlainPassword,
    /// A name to log in with. Not given: the address.
    #[schema(value_type = Option<ChosenUsername>)]
    username: Option<Username>,
    /// The language of mail as a BCP 47 tag. Not given: from `Accept-Language`.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<Locale>,
    /// Put the refresh token into a cookie, for browsers, where registering logs in at once.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

impl Body for RegisterRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", Email::parse_typed);
        let username =
            fields.optional("username", |text| Username::parse_beside(text, email.as_ref()));
        let username = username.flatten();
        let policy = fields.password_policy.clone();
        let password = fields.required("password", |text| {
            let password = policy.parse(text)?;
            policy.check(&password, email.as_ref(), username.as_ref().map(Username::as_str))?;
            Ok(password)
        });
        let locale = fields.optional("locale", Locale::parse);
        let use_cookie = fields.flag("use_cookie");
        Some(Self { email: email?, password: password?, username, locale, use_cookie })
    }
}

/// A mail is on its way.
#[derive(Serialize, ToSchema)]
pub struct VerificationSent {
    /// Always `verification_sent`.
    #[schema(example = "verification_sent", pattern = "^verification_sent$")]
    pub status: &'static str,
    /// Keep it: with the code or link of the mail it proves the address.
    #[schema(example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s")]
    pub registration_token: String,
    /// How long the registration waits, in seconds.
    #[schema(example = 86_400)]
    pub expires_in: u64,
}

impl From<WaitingProof> for VerificationSent {
    fn from(waiting: WaitingProof) -> Self {
        Self {
            status: "verification_sent",
            registration_token: waiting.registration_token.expose().to_owned(),
            expires_in: waiting.expires_in.as_secs(),
        }
    }
}

/// The person is logged in; the address is proven later or never.
#[derive(Serialize, ToSchema)]
pub struct LoggedIn {
    #[serde(flatten)]
    tokens: TokenPair,
    /// With the code or link of the mail it proves the address, where that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String, nullable = false)]
    registration_token: Option<String>,
}

#[utoipa::path(
    post,
    path = "/v1/register",
    operation_id = "register",
    tag = "account",
    summary = "Register",
    description = "Starts a registration and sends a mail to the address. The answer is the same whether the address is known or not. With the verification policies `optional` and `none` it answers 201 and the person is logged in.",
    request_body(content = RegisterRequest, example = json!({"email": "mina@example.com", "password": "plum tree at dusk", "username": "mina"})),
    responses(
        (status = 202, description = "A mail is on its way.", body = VerificationSent),
        (status = 201, description = "The person is logged in (verification `optional` or `none`).", body = LoggedIn),
    ),
    extensions(("x-error-codes" = json!(["username_taken", "email_taken", "origin_rejected", "rate_limited", "overloaded", "unavailable"])))
)]
/// Registers somebody.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(body): Json<RegisterRequest>,
) -> Result<HttpResponse, ApiError> {
    let transport = Transport::wanted(body.use_cookie);
    state.browsers.check(&request, transport == Transport::Cookie)?;
    let locale = body.locale.unwrap_or_else(|| accepted_locale(&request));
    let RegisterRequest { email, password, username, .. } = body;
    let order = flows::RegisterRequest { email, password, username, locale, device };
    Ok(match state.run(move |flows| flows.register(order)).await? {
        flows::Registered::VerificationSent(waiting) => {
            HttpResponse::Accepted().json(VerificationSent::from(waiting))
        }
        flows::Registered::LoggedIn { log_in, registration_token } => {
            let mut answer = HttpResponse::Created();
            let tokens = transport.deliver_log_in(log_in, &state.browsers, &mut answer);
            let registration_token = registration_token.map(|token| token.expose().to_owned());
            answer.json(LoggedIn { tokens, registration_token })
        }
    })
}

/// The locale of a browser that did not say otherwise.
pub fn accepted_locale(request: &HttpRequest) -> Locale {
    request
        .headers()
        .get(ACCEPT_LANGUAGE)
        .and_then(|header| header.to_str().ok())
        .map(Locale::from_accept_language)
        .unwrap_or_default()
}
