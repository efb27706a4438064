//! An account, in the form for staff.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::User;
use crate::flows::ListedIdentity;
use crate::http::v1::social::identity::Identity;
use crate::http::v1::time::rfc3339;

/// Account of a user.
#[derive(Serialize, ToSchema)]
pub struct Account {
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
    /// True if the account may log in.
    #[schema(example = true)]
    is_active: bool,
    /// Reason for the disabling, if staff gave one.
    disabled_reason: Option<String>,
    /// The end of the disabling (RFC 3339, UTC), if it has one.
    #[schema(format = "date-time", example = "2027-01-01T00:00:00.000000Z")]
    disabled_until: Option<String>,
    /// The roles of the account in applications.
    #[schema(example = json!(["editor"]))]
    roles: Vec<String>,
    /// Metadata that staff and services keep with the account.
    #[schema(value_type = Object, example = json!({"plan": "pro"}))]
    app_metadata: Map<String, Value>,
    /// True if the account may manage others.
    #[schema(example = false)]
    is_staff: bool,
    /// True if the account may manage superusers. Other staff cannot change it.
    #[schema(example = false)]
    is_superuser: bool,
    /// The language of mail, as a BCP 47 tag.
    #[schema(example = "ko-KR")]
    locale: String,
    /// Time of creation (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    created_at: String,
    /// Time of the last log-in (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    last_login_at: Option<String>,
    /// Identities at other services; with `GET /v1/users/{id}` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    identities: Option<Vec<Identity>>,
}

impl Account {
    /// Returns the account with its identities.
    pub fn with_identities(user: User, identities: Vec<ListedIdentity>) -> Self {
        let identities = identities.into_iter().map(Identity::from).collect();
        Self { identities: Some(identities), ..Self::from(user) }
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id.0,
            username: user.username.as_str().to_owned(),
            email: user.email_text().to_owned(),
            email_verified: user.email_verified,
            is_active: user.is_active,
            is_staff: user.is_staff,
            is_superuser: user.is_superuser,
            locale: user.locale.as_str().to_owned(),
            created_at: rfc3339(user.created_at),
            last_login_at: user.last_login_at.map(rfc3339),
            disabled_reason: user.disabled_reason,
            disabled_until: user.disabled_until.map(rfc3339),
            roles: user.roles.names().to_vec(),
            app_metadata: user.app_metadata.members().clone(),
            identities: None,
        }
    }
}
