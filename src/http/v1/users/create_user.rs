//! `POST /v1/users`

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{Email, Fault, Locale, Metadata, PlainPassword, Username};
use crate::flows::NewAccount;
use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::{ChosenUsername, EmailAddress, LocaleTag, NewPassword, RoleName};
use crate::http::state::State;
use crate::http::v1::account::user::Account;
use crate::http::v1::users::update_user::read_roles;

/// An account to be created by staff or a service.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `NewAccount` is read from")]
pub struct CreateUserRequest {
    /// The e-mail address.
    #[schema(value_type = EmailAddress)]
    email: String,
    /// The user name. Not given: the e-mail address.
    #[schema(value_type = Option<ChosenUsername>)]
    username: Option<String>,
    /// The password. Not given: a mail invites the user to choose one.
    #[schema(value_type = Option<NewPassword>)]
    password: Option<String>,
    /// The language of mail. Not given: English.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<String>,
    /// True if the account may manage others.
    #[schema(example = false)]
    is_staff: Option<bool>,
    /// The roles of the account in applications.
    #[schema(value_type = Option<Vec<RoleName>>, max_items = 32, example = json!(["editor"]))]
    roles: Option<Vec<String>>,
    /// Metadata that staff and services keep with the account; at most 4096 bytes of JSON.
    #[schema(value_type = Option<Object>, example = json!({"plan": "pro"}))]
    app_metadata: Option<Value>,
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
        let roles = read_roles(fields);
        let app_metadata = fields.value("app_metadata", |value| match value {
            Value::Object(members) => Metadata::default().merged(&members),
            _ => Err(Fault::WrongType),
        });
        Some(Self {
            email: email?,
            username: username.flatten(),
            password,
            locale,
            is_staff,
            roles,
            app_metadata,
        })
    }
}

#[utoipa::path(
    post,
    path = "/v1/users",
    operation_id = "createUser",
    tag = "users",
    summary = "Create an account, or invite a user",
    description = "For staff, and for API keys with the scope `users:write`. Without a password the user gets a mail with a link to choose one, valid for a week; following it verifies the e-mail address.",
    request_body(content = CreateUserRequest, example = json!({"email": "mina@example.com"})),
    responses(
        (status = 201, description = "The account.", body = Account, headers(("Location" = String, description = "Its path."))),
        (status = 200, description = "The account, which was invited before: the mail is sent again, and the fields of the request replace those of the account.", body = Account, headers(("Location" = String, description = "Its path."))),
    ),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "username_taken", "email_taken", "rate_limited"])))
)]
/// Creates an account.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    Client(device): Client,
    Json(new): Json<NewAccount>,
) -> Result<HttpResponse, ApiError> {
    let created = state.run(move |flows| flows.create_user(&caller, new, &device)).await?;
    let mut answer = if created.is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer
        .insert_header((LOCATION, format!("/v1/users/{}", created.user.id)))
        .json(Account::from(created.user)))
}
