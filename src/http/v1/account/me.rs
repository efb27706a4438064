//! `GET /v1/me`

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::User;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::state::State;
use crate::http::v1::time::rfc3339;

/// The user's own account.
#[derive(Serialize, ToSchema)]
pub struct Profile {
    /// The user id, the `sub` of its tokens.
    #[schema(example = 7)]
    user_id: i64,
    /// The user name; without a chosen one, the e-mail address.
    #[schema(example = "mina")]
    username: String,
    /// The e-mail address, empty if there is none.
    #[schema(example = "mina@example.com")]
    email: String,
    /// True if the e-mail address is verified.
    #[schema(example = true)]
    email_verified: bool,
    /// True for staff, who may manage other accounts.
    #[schema(example = false)]
    is_staff: bool,
    /// The language of mail, as a BCP 47 tag.
    #[schema(example = "ko-KR")]
    locale: String,
    /// Metadata that the front end keeps with the account.
    #[schema(value_type = Object, example = json!({"theme": "dark"}))]
    metadata: Map<String, Value>,
    /// Metadata that staff and services keep with the account; read-only here.
    #[schema(value_type = Object, example = json!({"plan": "pro"}))]
    app_metadata: Map<String, Value>,
    /// The roles of the account in applications.
    #[schema(example = json!(["editor"]))]
    roles: Vec<String>,
    /// Time of creation (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    created_at: String,
    /// Time of the last log-in (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    last_login_at: Option<String>,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id.0,
            username: user.username.as_str().to_owned(),
            email: user.email_text().to_owned(),
            email_verified: user.email_verified,
            is_staff: user.is_staff,
            locale: user.locale.as_str().to_owned(),
            metadata: user.metadata.members().clone(),
            app_metadata: user.app_metadata.members().clone(),
            roles: user.roles.names().to_vec(),
            created_at: rfc3339(user.created_at),
            last_login_at: user.last_login_at.map(rfc3339),
        }
    }
}

#[utoipa::path(
    get,
    path = "/v1/me",
    operation_id = "getMe",
    tag = "account",
    summary = "Own profile",
    description = "The account of the access token, in its current state.",
    responses((status = 200, description = "The account.", body = Profile)),
    security(("bearer" = []))
)]
/// Returns the account of the access token.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
) -> Result<web::Json<Profile>, ApiError> {
    let user = state.run(move |flows| flows.require_active_user(claims.user_id())).await?;
    Ok(web::Json(user.into()))
}
