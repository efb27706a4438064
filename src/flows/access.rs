//! Access control: active users, and who may administer accounts. Rights are read from the database
//! with each request, and again in the transaction that uses them. Only superusers change
//! superusers. Services with an API key do not change staff.

use std::fmt;
use std::time::Duration;

use tracing::field::{DisplayValue, display};

use super::{Claims, Error, Flows, Result};
use crate::domain::{
    ApiKey, ApiKeyId, ApiKeyState, EventContext, PlainToken, Scope, SessionId, User, UserId,
    UtcTime,
};
use crate::store::{self, Conn, api_keys, sessions, users};

/// Precision of the last-used time of an API key. It saves a write per request.
const USE_RECORDED_EVERY: Duration = Duration::from_mins(1);

/// The sender of an administrative request.
#[derive(Debug)]
pub enum Caller {
    /// The holder of an access token.
    User(Box<Claims>),
    /// A service with an API key.
    Service(PlainToken),
    /// The operator, at the command line.
    Operator,
}

/// A caller who may administer accounts.
#[derive(Clone, Debug)]
pub(crate) enum Administrator {
    /// A member of the staff, in a session.
    Staff(Box<User>, SessionId),
    /// A service with the scope that the request needs.
    Service(ApiKey),
    /// The operator, who is above all roles.
    Operator,
}

impl Administrator {
    /// Returns the context of an event about the account `id`.
    pub(crate) fn context(&self, id: UserId, now: UtcTime) -> EventContext {
        let context = EventContext::of(id, now);
        match self {
            Self::Staff(user, _) => context.by(user.id),
            Self::Service(key) => context.by_key(&key.id),
            Self::Operator => context.by(UserId::NONE),
        }
    }

    /// Returns the user id of the staff member, for the log.
    pub(crate) fn staff_id(&self) -> Option<i64> {
        if let Self::Staff(user, _) = self { Some(user.id.0) } else { None }
    }

    /// Returns the id of the API key, for the log.
    pub(crate) fn api_key(&self) -> Option<DisplayValue<&ApiKeyId>> {
        if let Self::Service(key) = self { Some(display(&key.id)) } else { None }
    }

    /// Checks in the transaction that the caller may still administer accounts. Hashing takes a
    /// while, in which rights may be revoked and sessions ended.
    pub(crate) fn recheck(&self, conn: &mut Conn, now: UtcTime) -> Result<()> {
        match self {
            Self::Staff(user, session) => require_staff(conn, user.id, session).map(|_| ()),
            Self::Service(key) => {
                let key = api_keys::find_by_id(conn, &key.id)?.ok_or(Error::TokenInvalid)?;
                check_state(&key, now)
            }
            Self::Operator => Ok(()),
        }
    }

    /// Checks that the caller may change `other`.
    pub(crate) fn may_modify(&self, conn: &mut Conn, other: &User, now: UtcTime) -> Result<()> {
        match self {
            Self::Staff(user, session) => {
                may_modify(&require_staff(conn, user.id, session)?, other)
            }
            Self::Service(_) if other.is_staff || other.is_superuser => {
                Err(Error::PermissionDenied)
            }
            Self::Service(_) | Self::Operator => self.recheck(conn, now),
        }
    }

    /// Checks that the caller may grant or revoke the staff flag. With that right, an API key could
    /// create itself a staff account.
    pub(crate) fn may_set_staff(&self) -> Result<()> {
        match self {
            Self::Staff(..) | Self::Operator => Ok(()),
            Self::Service(_) => Err(Error::PermissionDenied),
        }
    }
}

/// The name of the caller in the log.
impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staff(user, _) => user.id.fmt(f),
            Self::Service(key) => write!(f, "api_key:{}", key.id),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl Flows {
    /// Returns the caller as one who may administer accounts.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] for a user who is not staff, and [`Error::InsufficientScope`]
    /// for a key without `scope`.
    pub(crate) fn administrator(&self, caller: &Caller, scope: Scope) -> Result<Administrator> {
        match caller {
            Caller::User(claims) => {
                let staff = Box::new(self.staff(claims)?);
                Ok(Administrator::Staff(staff, claims.session_id()))
            }
            Caller::Service(key) => Ok(Administrator::Service(self.require_scope(key, scope)?)),
            Caller::Operator => Ok(Administrator::Operator),
        }
    }

    /// Returns the user of a token. If the account was deleted or disabled, the token counts as
    /// revoked, whatever the state of its session.
    pub fn require_active_user(&self, id: UserId) -> Result<User> {
        self.db
            .read(|conn| users::find_by_id(conn, id))?
            .filter(|user| user.is_active)
            .ok_or(Error::TokenRevoked)
    }

    /// Returns the staff member who holds the token. The rights in the token may be minutes old.
    fn staff(&self, claims: &Claims) -> Result<User> {
        let user = self.require_active_user(claims.user_id())?;
        if user.is_staff { Ok(user) } else { Err(Error::PermissionDenied) }
    }

    /// Returns the superuser who holds the token.
    pub(crate) fn superuser(&self, claims: &Claims) -> Result<User> {
        let user = self.require_active_user(claims.user_id())?;
        require_superuser(&user)?;
        Ok(user)
    }

    /// Returns the key if it is active and has `scope`, and records that it was used.
    ///
    /// # Errors
    /// [`Error::TokenInvalid`], [`Error::TokenExpired`] and [`Error::TokenRevoked`], as for access
    /// tokens, and [`Error::InsufficientScope`].
    pub(crate) fn require_scope(&self, key: &PlainToken, scope: Scope) -> Result<ApiKey> {
        let (hash, now) = (key.hash(), self.now());
        let key = self.db.read(|conn| api_keys::find_by_hash(conn, &hash))?;
        let key = key.ok_or(Error::TokenInvalid)?;
        check_state(&key, now)?;
        if !key.scopes.contains(&scope) {
            return Err(Error::InsufficientScope(scope));
        }
        self.note_use(&key, now);
        Ok(key)
    }

    /// Records that a key was used. A failure is no reason to refuse the request: a service reads
    /// with its key while the database accepts no writes.
    fn note_use(&self, key: &ApiKey, now: UtcTime) {
        let since = now.before(USE_RECORDED_EVERY);
        if key.last_used_at.is_some_and(|last| last >= since) || !self.db.can_write() {
            return;
        }
        let id = key.id.clone();
        let noted: store::Result<()> =
            self.db.write(move |conn| api_keys::record_use(conn, &id, since, now));
        if let Err(error) = noted {
            tracing::debug!(api_key = %key.id, %error, "the use of an API key is not recorded");
        }
    }
}

fn check_state(key: &ApiKey, now: UtcTime) -> Result<()> {
    match key.state(now) {
        ApiKeyState::Active => Ok(()),
        ApiKeyState::Expired => Err(Error::TokenExpired),
        ApiKeyState::Revoked => Err(Error::TokenRevoked),
    }
}

/// Checks that `by`, read in the transaction, may change `other`.
pub(crate) fn may_modify(by: &User, other: &User) -> Result<()> {
    let is_allowed = by.is_staff && (by.is_superuser || !other.is_superuser);
    if is_allowed { Ok(()) } else { Err(Error::PermissionDenied) }
}

/// Checks that the user is a superuser who may manage others.
pub(crate) fn require_superuser(user: &User) -> Result<()> {
    if user.is_staff && user.is_superuser { Ok(()) } else { Err(Error::PermissionDenied) }
}

/// Returns the active user of an open session, read in the transaction.
pub(crate) fn user_in_session(conn: &mut Conn, id: UserId, session: &SessionId) -> Result<User> {
    let user = users::find_by_id(conn, id)?.filter(|user| user.is_active);
    let user = user.ok_or(Error::TokenRevoked)?;
    require_open(conn, session)?;
    Ok(user)
}

/// Returns the staff member of an open session, read in the transaction.
fn require_staff(conn: &mut Conn, id: UserId, session: &SessionId) -> Result<User> {
    let user = user_in_session(conn, id, session)?;
    if user.is_staff { Ok(user) } else { Err(Error::PermissionDenied) }
}

/// Checks in the transaction that the session was not ended.
pub(crate) fn require_open(conn: &mut Conn, session: &SessionId) -> Result<()> {
    let session = sessions::find_session(conn, session)?;
    let is_open = session.is_some_and(|session| session.ended_at.is_none());
    if is_open { Ok(()) } else { Err(Error::TokenRevoked) }
}
