//! `POST /v1/users`

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{Email, Locale, PlainPassword, Username};
use crate::flows::NewAccount;
use crate::http::bearer::Bearer;
use crate::http::blocking::State;
use crate::http::body::{Body, Fields, Json};
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::schema::{ChosenUsername, EmailAddress, LocaleTag, NewPassword};
use crate::http::v1::account::user::Account;

/// An account that staff make.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `NewAccount` is read from")]
pub struct CreateUserRequest {
    /// The address.
    #[schema(value_type = EmailAddress)]
    email: String,
    /// A name to log in with. Not given: the e-mail address.
    #[schema(value_type = Option<ChosenUsername>)]
    username: Option<String>,
    /// The password. Not given: a mail invites the user to choose one.
    #[schema(value_type = Option<NewPassword>)]
    password: Option<String>,
    /// The language of mail as a BCP 47 tag. Not given: English.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<String>,
    /// True if it may manage others.
    #[schema(example = false)]
    is_staff: Option<bool>,
}

impl Body for NewAccount {
    fn read(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", Email::parse_typed);
        let username =
            fields.optional("username", |text| Username::parse_beside(text, email.as_ref()));
        let password = if fields.has("password") {
            fields.new_password("password", email.as_ref())
        } else {
            fields.optional("password", PlainPassword::parse)
        };
        let locale = fields.optional("locale", Locale::parse);
        let is_staff = fields.flag("is_staff");
        Some(Self {
            email: email?,
            username: username.flatten(),
            password,
            locale: locale.unwrap_or_default(),
            is_staff: is_staff.unwrap_or(false),
        })
    }
}

#[utoipa::path(
    post,
    path = "/v1/users",
    operation_id = "createUser",
    tag = "users",
    summary = "Create an account, or invite a user",
    description = "For staff. Without a password the user gets a mail with a link to choose one, valid for a week; following it verifies the e-mail address.",
    request_body(content = CreateUserRequest, example = json!({"email": "mina@example.com"})),
    responses((status = 201, description = "The account.", body = Account, headers(("Location" = String, description = "Its path.")))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "username_taken", "email_taken", "rate_limited"])))
)]
/// Makes an account.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    Json(new): Json<NewAccount>,
) -> Result<HttpResponse, ApiError> {
    let user = state.run(move |flows| flows.create_account(&claims, new, &device)).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/v1/users/{}", user.id)))
        .json(Account::from(user)))
}
