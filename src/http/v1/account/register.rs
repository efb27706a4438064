//! `POST /v1/register`

use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Email, Locale, PlainPassword, PlainToken, Transport, Username};
use crate::flows::{self, PendingVerification};
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::{ChosenUsername, EmailAddress, LocaleTag, NewPassword};
use crate::http::state::State;
use crate::http::v1::token::token_pair::TokenPair;

/// A request for a new account.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The e-mail address. It is verified by a mail.
    #[schema(value_type = EmailAddress)]
    email: Email,
    /// The password.
    #[schema(value_type = NewPassword)]
    password: PlainPassword,
    /// The user name. Not given: the e-mail address.
    #[schema(value_type = Option<ChosenUsername>)]
    username: Option<Username>,
    /// The language of mail. Not given: from `Accept-Language`.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<Locale>,
    /// Set the refresh token as a cookie, for browsers, if the registration logs in immediately.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

impl Body for RegisterRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let email = fields.chosen_email("email");
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
    /// Keep it: with the code or link of the mail it verifies the e-mail address.
    #[schema(example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s")]
    pub registration_token: String,
    /// Lifetime of the registration, in seconds.
    #[schema(example = 86_400)]
    pub expires_in: u64,
}

impl From<PendingVerification> for VerificationSent {
    fn from(waiting: PendingVerification) -> Self {
        Self {
            status: "verification_sent",
            registration_token: waiting.registration_token.expose().to_owned(),
            expires_in: waiting.expires_in.as_secs(),
        }
    }
}

/// Result of a registration, or of a log-in that may lead to one. One schema for all statuses, as
/// generated clients have one type for an operation; `status` is present with 202, the tokens are
/// present with 200 or 201.
#[derive(Default, Serialize, ToSchema)]
pub struct Registered {
    /// With 202: `verification_sent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String, example = "verification_sent")]
    status: Option<&'static str>,
    /// Keep it: with the code or link of the mail it verifies the e-mail address. Missing if no
    /// mail is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        required = false,
        nullable = false,
        example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s"
    )]
    registration_token: Option<String>,
    /// With 202: lifetime of the registration. With 200 or 201: lifetime of the access token. In
    /// seconds.
    #[schema(example = 86_400)]
    expires_in: u64,
    /// With 200 or 201: a JWT for `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    access_token: Option<String>,
    /// With 200 or 201: `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String)]
    token_type: Option<&'static str>,
    /// With 200 or 201, not in cookie mode: for `token-refresh` and `token-revoke`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    refresh_token: Option<String>,
    /// With 200 or 201: lifetime of an unused refresh token, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = u64)]
    refresh_expires_in: Option<u64>,
    /// With 200 or 201, not in cookie mode: send it at the next log-in on this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    device_token: Option<String>,
    /// With 200 or 201: the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    session_id: Option<String>,
}

impl From<VerificationSent> for Registered {
    fn from(sent: VerificationSent) -> Self {
        Self {
            status: Some(sent.status),
            registration_token: Some(sent.registration_token),
            expires_in: sent.expires_in,
            ..Self::default()
        }
    }
}

impl Registered {
    /// Returns the body for a user who is logged in.
    pub fn of(pair: TokenPair, registration_token: Option<PlainToken>) -> Self {
        Self {
            registration_token: registration_token.map(|token| token.expose().to_owned()),
            expires_in: pair.expires_in,
            access_token: Some(pair.access_token),
            token_type: Some(pair.token_type),
            refresh_token: pair.refresh_token,
            refresh_expires_in: Some(pair.refresh_expires_in),
            device_token: pair.device_token,
            session_id: Some(pair.session_id),
            ..Self::default()
        }
    }
}

#[utoipa::path(
    post,
    path = "/v1/register",
    operation_id = "register",
    tag = "account",
    summary = "Register",
    description = "Creates a pending registration and mails a code and a link to the address. The response is the same whether or not the address has an account. With the verification policies `optional` and `none`, the account is created immediately: 201, with tokens.",
    request_body(content = RegisterRequest, example = json!({"email": "mina@example.com", "password": "plum tree at dusk", "username": "mina"})),
    responses(
        (status = 202, description = "A mail is on its way.", body = Registered),
        (status = 201, description = "The user is logged in (verification `optional` or `none`).", body = Registered),
    ),
    extensions(("x-error-codes" = json!(["registration_closed", "username_taken", "email_taken", "token_too_large", "origin_rejected", "rate_limited", "overloaded", "unavailable"])))
)]
/// Registers a user.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(body): Json<RegisterRequest>,
) -> Result<HttpResponse, ApiError> {
    let transport = Transport::wanted(body.use_cookie);
    state.browsers.check(&request, transport)?;
    let locale = body.locale.unwrap_or_else(|| accepted_locale(&request));
    let RegisterRequest { email, password, username, .. } = body;
    let order = flows::RegisterRequest { email, password, username, locale, device, transport };
    Ok(match state.run(move |flows| flows.register(order)).await? {
        flows::Registered::VerificationSent(waiting) => {
            HttpResponse::Accepted().json(Registered::from(VerificationSent::from(waiting)))
        }
        flows::Registered::LoggedIn { log_in, registration_token } => {
            let mut answer = HttpResponse::Created();
            let tokens = transport.deliver_log_in(log_in, &state.browsers, &mut answer).await;
            answer.json(Registered::of(tokens, registration_token))
        }
    })
}

/// Returns the locale of `Accept-Language`, for registrations that name none.
pub fn accepted_locale(request: &HttpRequest) -> Locale {
    request
        .headers()
        .get(ACCEPT_LANGUAGE)
        .and_then(|header| header.to_str().ok())
        .map(Locale::from_accept_language)
        .unwrap_or_default()
}
