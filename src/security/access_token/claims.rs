//! The claims of an access token.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{SessionId, UserId};

/// Claims of an access token. All but `nbf` are required, with the right JSON type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the public URL of the service.
    pub iss: String,
    /// The audience.
    pub aud: Audience,
    /// The user id as text.
    pub sub: String,
    /// The client that the token was issued to (RFC 9068 section 2.2). Tokens of earlier versions
    /// lack it: [`super::AccessTokens`] fills it in, until the last of them has expired.
    #[serde(default)]
    pub client_id: String,
    /// Time of issue, in seconds since the epoch.
    pub iat: i64,
    /// The time before which the token is not valid. Our tokens lack it; one that has it is checked
    /// (RFC 7519 section 4.1.5).
    #[serde(default, skip_serializing)]
    pub nbf: i64,
    /// Expiry, in seconds since the epoch.
    pub exp: i64,
    /// Its own id.
    pub jti: String,
    /// The session it belongs to.
    pub sid: String,
    /// The user id.
    pub user_id: i64,
    /// The user name.
    pub username: String,
    /// The e-mail address, empty without one.
    pub email: String,
    /// True if the e-mail address is verified.
    pub email_verified: bool,
    /// True for staff.
    pub is_staff: bool,
    /// The roles of the account. An empty claim would be refused by libraries such as authlib.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The roles as one text (RFC 8693 section 4.2), if there are any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Authentication methods of the log-in (RFC 8176).
    pub amr: Vec<String>,
    /// Time of the log-in, in seconds since the epoch.
    pub auth_time: i64,
    /// The generation of the account's rights, if they ever changed.
    #[serde(default, rename = "gen", skip_serializing_if = "is_first")]
    pub rights: i64,
    /// Claims from the metadata of the account.
    #[serde(flatten)]
    pub custom: Map<String, Value>,
}

/// The audience of a token: one name, or several (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One name.
    One(String),
    /// Several names.
    Several(Vec<String>),
}

impl Audience {
    /// Returns the audience of these names.
    pub fn of(names: &[String]) -> Self {
        match names {
            [name] => Self::One(name.clone()),
            names => Self::Several(names.to_vec()),
        }
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Returns whether this is the generation of rights that never changed.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_first(rights: &i64) -> bool {
    *rights == 0
}

impl Claims {
    /// The session as a typed id.
    pub fn session_id(&self) -> SessionId {
        SessionId(self.sid.clone())
    }

    /// The account as a typed id.
    pub fn user_id(&self) -> UserId {
        UserId(self.user_id)
    }
}
