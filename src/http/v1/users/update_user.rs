//! `PATCH /v1/users/{id}`

use actix_web::web;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{Fault, Length, Locale, Roles, Username};
use crate::flows::AccountChanges;
use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::schema::{ChosenUsername, LocaleTag, RoleName};
use crate::http::state::State;
use crate::http::v1::account::update_me::read_metadata;
use crate::http::v1::account::user::Account;
use crate::http::v1::time::parse_rfc3339;
use crate::http::v1::users::user_id::UserIdInPath;

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Changes by staff. A missing field is kept.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `AccountChanges` is read from")]
pub struct UpdateUserRequest {
    /// True if the account may log in. False disables it and ends its sessions; without
    /// `disabled_until`, for good.
    #[schema(example = false)]
    is_active: Option<bool>,
    /// Reason for the disabling; shown to other staff, and part of the user's own export.
    #[schema(max_length = 500, example = "Asked for a pause")]
    disabled_reason: Option<String>,
    /// True if the account may manage others.
    #[schema(example = false)]
    is_staff: Option<bool>,
    /// The user name.
    #[schema(value_type = Option<ChosenUsername>)]
    username: Option<String>,
    /// The language of mail.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<String>,
    /// The end of the disabling (RFC 3339): a time in the future, for an account that is
    /// disabled or that `is_active: false` disables now. Null: when staff enable it.
    #[schema(format = "date-time", max_length = 35, example = "2099-01-01T00:00:00Z")]
    disabled_until: Option<String>,
    /// All roles of the account in applications; an empty list takes them. A change revokes its
    /// access tokens.
    #[schema(required = false, nullable = false, value_type = Vec<RoleName>, max_items = 32, example = json!(["editor"]))]
    roles: Option<Vec<String>>,
    /// Metadata that staff and services keep with the account, merged; at most 4096 bytes of JSON
    /// in all. Null empties it.
    #[schema(value_type = Option<Object>, example = json!({"plan": "pro"}))]
    app_metadata: Option<Value>,
}

impl Body for AccountChanges {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            is_active: fields.flag("is_active"),
            disabled_reason: fields.optional("disabled_reason", |text| {
                match text.chars().count() {
                    0..=MAX_REASON if !text.contains('\0') => Ok(text.to_owned()),
                    0..=MAX_REASON => Err(Fault::InvalidFormat),
                    _ => Err(Fault::TooLong(Length::Characters(MAX_REASON))),
                }
            }),
            is_staff: fields.flag("is_staff"),
            username: fields.optional("username", Username::parse),
            locale: fields.optional("locale", Locale::parse),
            disabled_until: fields.patch("disabled_until", |value| {
                let text = value.as_str().ok_or(Fault::WrongType)?;
                parse_rfc3339(text).ok_or(Fault::InvalidFormat)
            }),
            roles: {
                fields.refuse_null("roles");
                read_roles(fields)
            },
            app_metadata: read_metadata(fields, "app_metadata"),
        })
    }
}

/// Parses `roles`.
pub fn read_roles(fields: &mut Fields) -> Option<Roles> {
    fields.value("roles", |value| {
        let Value::Array(names) = value else { return Err(Fault::WrongType) };
        let names = names.iter().map(|name| name.as_str().ok_or(Fault::WrongType));
        Roles::parse(names.collect::<Result<Vec<&str>, Fault>>()?)
    })
}

#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    operation_id = "updateUser",
    tag = "users",
    summary = "Change an account",
    description = "For staff, and for API keys with the scope `users:write`: disable an account (its sessions end immediately), optionally until a date, or enable it, make it staff, rename it, set its roles and `app_metadata`. Only superusers change superusers, and the last active superuser cannot be disabled.",
    params(("id" = i64, Path, description = "The user id.", example = 7)),
    request_body(content = UpdateUserRequest, example = json!({"is_active": false, "disabled_reason": "Asked for a pause"})),
    responses((status = 200, description = "The changed account.", body = Account)),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found", "username_taken", "last_superuser"])))
)]
/// Changes an account.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    UserIdInPath(id): UserIdInPath,
    Json(changes): Json<AccountChanges>,
) -> Result<web::Json<Account>, ApiError> {
    let user = state.run(move |flows| flows.update_user(&caller, id, changes)).await?;
    Ok(web::Json(user.into()))
}
