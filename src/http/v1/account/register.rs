//! `POST /v1/register`

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{AcceptedPassword, Email, Locale, Transport, Username};
use crate::flows;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::{Client, accepted_locale};
use crate::http::schema::{ChosenUsername, EmailAddress, LocaleTag, NewPassword};
use crate::http::state::State;
use crate::http::v1::account::log_in_or_verification::{LogInOrVerification, respond};

/// A request for a new account.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The e-mail address. It is verified by a mail.
    #[schema(value_type = EmailAddress)]
    email: Email,
    /// The password.
    #[schema(value_type = NewPassword)]
    password: AcceptedPassword,
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
            policy.accept(text, email.as_ref(), username.as_ref().map(Username::as_str))
        });
        let locale = fields.optional("locale", Locale::parse);
        let use_cookie = fields.flag("use_cookie");
        Some(Self { email: email?, password: password?, username, locale, use_cookie })
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
        (status = 202, description = "A mail is on its way.", body = LogInOrVerification),
        (status = 201, description = "The user is logged in (verification `optional` or `none`).", body = LogInOrVerification),
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
    let outcome = state.run(move |flows| flows.register(order)).await?;
    Ok(respond(&state, transport, outcome, StatusCode::CREATED).await)
}
