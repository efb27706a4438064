//! Flows of the adapter: the same accounts, hashing and rules as behind `/v1`. What differs is the
//! kind of token, and that staff manage accounts without confirming their password.

use crate::domain::{
    ChallengeKind, Counted, Counter, Device, Email, EmailChange, EventContext, EventKind, Locale,
    MailRequest, Metadata, PasswordHash, PlainPassword, Roles, User, UserId, Username, UtcTime,
};
use crate::drf::token::{Claims, DrfTokens, Origin, RefreshError, TokenError};
use crate::flows::access::may_modify;
use crate::flows::account::change_email::tell_old_address;
use crate::flows::account::delete::{delete_account, keep_one_superuser, lock_for_staff};
use crate::flows::admin::users::renew_rights;
use crate::flows::audit::record_changes;
use crate::flows::limits::Attempt;
use crate::flows::password::change::forget_pending;
use crate::flows::{Error, Flows, LoginContext, Result};
use crate::store::users::{self, NewUser, UserChanges};
use crate::store::{self, Conn, events};

/// Reasons to refuse a token of the adapter.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It is malformed, or signed with another key.
    #[error("the token cannot be decoded")]
    Undecodable,
    /// It could be read, but is not of a kind that counts here.
    #[error("the token is not acceptable")]
    Unacceptable,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It names no account.
    #[error("the token names no account")]
    Nameless,
    /// It names an account that does not exist.
    #[error("the token names no known account")]
    UnknownAccount,
    /// The account is switched off.
    #[error("the account is disabled")]
    AccountDisabled,
    /// It does not tell when the person logged in, so it cannot be refreshed.
    #[error("the token has no moment of log-in")]
    NoOrigin,
    /// The person logged in too long ago.
    #[error("the log-in is too long ago")]
    OriginTooOld,
    /// The check itself failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<TokenError> for AccessError {
    fn from(refusal: TokenError) -> Self {
        match refusal {
            TokenError::Undecodable => Self::Undecodable,
            TokenError::Unacceptable => Self::Unacceptable,
            TokenError::Expired => Self::Expired,
        }
    }
}

impl From<RefreshError> for AccessError {
    fn from(refusal: RefreshError) -> Self {
        match refusal {
            RefreshError::NoOrigin => Self::NoOrigin,
            RefreshError::TooOld => Self::OriginTooOld,
            RefreshError::Undecodable => Self::Undecodable,
        }
    }
}

/// The answer of a flow that takes a token.
pub type TokenResult<T> = std::result::Result<T, AccessError>;

/// Fields of an account in the adapter. A field that is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountFields {
    /// The name to log in with.
    pub username: Option<Username>,
    /// The address.
    pub email: EmailChange,
    /// True if it may manage others.
    pub is_staff: Option<bool>,
}

/// Fields whose wanted value another user has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The name.
    pub username: bool,
    /// The address.
    pub email: bool,
}

/// The adapter's flows: those of the core, with the adapter's tokens.
#[derive(Clone, Copy)]
pub struct DrfFlows<'a> {
    /// The core's flows.
    pub(super) core: &'a Flows,
    tokens: &'a DrfTokens,
}

impl<'a> DrfFlows<'a> {
    /// Returns the flows over `core` that issue and check `tokens`.
    pub fn new(core: &'a Flows, tokens: &'a DrfTokens) -> Self {
        Self { core, tokens }
    }

    /// A token for a user who knows the password. The address does not stand in for the name here,
    /// and an account that is switched off is not told apart from a wrong password.
    pub fn log_in(
        &self,
        username: &str,
        password: &PlainPassword,
        entrance: &LoginContext,
    ) -> Result<String> {
        let find = |conn: &mut Conn| users::find_id_by_username(conn, username);
        let open = |attempt: &Attempt| {
            let (device, now) = (entrance.device.clone(), self.core.now());
            let entered =
                self.core.with_password(username, password, attempt, move |conn, user| {
                    let scene = EventContext::of(user.id, now).on(&device);
                    Ok(events::record(conn, &scene, EventKind::LoggedIn, "django")?)
                });
            entered.map_err(disabled_as_unknown)
        };
        let (user, ()) = self.core.attempt(username, entrance, find, open)?;
        tracing::info!(user_id = user.id.0, "logged in at the Django REST adapter");
        let now = self.core.now();
        Ok(self.tokens.issue(&user, &Origin::at(now), now))
    }

    /// The active account of that name and password, for a single request.
    pub fn user_by_password(
        &self,
        username: &str,
        password: &PlainPassword,
        entrance: &LoginContext,
    ) -> Result<User> {
        let find = |conn: &mut Conn| users::find_id_by_username(conn, username);
        let check = |attempt: &Attempt| {
            self.core.check_password(username, password, attempt).map_err(disabled_as_unknown)
        };
        let (user, _) = self.core.attempt(username, entrance, find, check)?;
        Ok(user)
    }

    /// The account that a good token names.
    pub fn user_by_token(&self, token: &str) -> TokenResult<User> {
        Ok(self.accept(token)?.1)
    }

    /// A new token for the holder of a good one. The moment of the log-in goes with it.
    pub fn refresh(&self, token: &str, device: &Device) -> TokenResult<String> {
        let network = vec![Counter::new(Counted::RefreshesOfNetwork, &device.network)];
        self.core.count(network, || match self.renew(token) {
            Err(AccessError::Failed(error)) => Err(error),
            answered => Ok(answered),
        })?
    }

    fn renew(&self, token: &str) -> TokenResult<String> {
        let (claims, user) = self.accept(token)?;
        let now = self.core.now();
        let origin = self.tokens.origin(&claims, now)?;
        Ok(self.tokens.issue(&user, &origin, now))
    }

    fn accept(&self, token: &str) -> TokenResult<(Claims, User)> {
        let claims = self.tokens.check(token, self.core.now())?;
        let name = claims.username().ok_or(AccessError::Nameless)?;
        let user = self
            .core
            .db
            .read(|conn| users::find_by_exact_username(conn, &name))
            .map_err(Error::from)?
            .ok_or(AccessError::UnknownAccount)?;
        if !user.is_active {
            return Err(AccessError::AccountDisabled);
        }
        // Its tokens were revoked, or the name belonged to another account.
        if !self.tokens.belongs_to(&claims, &user, self.core.now()) {
            return Err(AccessError::Expired);
        }
        Ok((claims, user))
    }

    /// One account.
    pub fn find_user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.core.db.read(|conn| users::find_by_id(conn, id))?)
    }

    /// Returns the fields of `wanted` that another account than `own` has. The answer reveals which
    /// addresses are taken, so users who are not staff may ask about as many addresses as they may
    /// request mails for.
    pub fn taken(
        &self,
        by: &User,
        wanted: &AccountFields,
        own: Option<UserId>,
        device: &Device,
    ) -> Result<Taken> {
        let mut counters = Vec::new();
        if !by.is_staff {
            for email in other_addresses(by, wanted) {
                let question = MailRequest::new(ChallengeKind::ChangeEmail, &email, device);
                counters.extend(question.of_network());
                counters.push(Counter::new(Counted::AddressesOfUser, by.id.to_string()));
            }
        }
        self.core.count(counters, || Ok(self.core.db.read(|conn| taken(conn, wanted, own))?))
    }

    /// Makes an active account without a password.
    pub fn create_user(&self, by: &User, fields: AccountFields) -> Result<User> {
        let username = fields.username.ok_or_else(|| Error::Internal("no username".to_owned()))?;
        let new = NewUser {
            username,
            email: match fields.email {
                EmailChange::Set(email) => Some(email),
                EmailChange::Keep | EmailChange::Remove => None,
            },
            email_verified: false,
            password_hash: PasswordHash::unusable(),
            is_staff: fields.is_staff.unwrap_or(false),
            is_superuser: false,
            locale: Locale::default(),
            roles: Roles::default(),
            app_metadata: Metadata::default(),
        };
        let (by, now) = (by.id, self.core.now());
        let user = self.core.db.write(move |conn| {
            let user = users::insert_user(conn, &new, now)?;
            let scene = EventContext::of(user.id, now).by(by);
            events::record(conn, &scene, EventKind::AccountCreatedByStaff, "")?;
            Ok::<_, Error>(user)
        })?;
        tracing::info!(by = by.0, user_id = user.id.0, "account made at the Django REST adapter");
        Ok(user)
    }

    /// Changes an account for `by`, who sits at `device`; `None` when it is gone.
    pub fn update_user(
        &self,
        by: &User,
        id: UserId,
        fields: AccountFields,
        device: &Device,
    ) -> Result<Option<User>> {
        let now = self.core.now();
        let mut changes = UserChanges {
            username: fields.username,
            email: fields.email,
            is_staff: fields.is_staff,
            ..UserChanges::default()
        };
        let (actor, policy) = (by.id, self.core.policy.clone());
        let (by, device) = (by.clone(), device.clone());
        let user = self.core.db.write(move |conn| {
            let before = match lock_for_staff(conn, id) {
                Ok(user) => user,
                Err(Error::NotFound) => return Ok(None),
                Err(error) => return Err(error),
            };
            may_touch_other(conn, &by, &before)?;
            if !by.is_staff {
                let_name_follow(&before, &mut changes);
            }
            if changes.is_staff == Some(false) {
                keep_one_superuser(conn, &before)?;
            }
            let Some(after) = users::update_user(conn, id, &changes, now)? else { return Ok(None) };
            record_changes(conn, &scene_of(id, &by, &device, now), &before, &after)?;
            let after = renew_rights(conn, &before, after, now)?;
            if before.email != after.email {
                forget_pending(conn, &before)?;
            }
            tell_old_address(conn, &policy, &before, &after, now)?;
            Ok::<_, Error>(Some(after))
        })?;
        if let Some(user) = &user {
            self.core.note_rights(user);
            tracing::info!(
                by = actor.0,
                user_id = user.id.0,
                "account changed at the Django REST adapter"
            );
        }
        Ok(user)
    }

    /// Removes an account for `by` and ends what it has open. Tells whether it was there.
    pub fn delete_user(&self, by: &User, id: UserId) -> Result<bool> {
        let (now, actor, by) = (self.core.now(), by.id, by.clone());
        let (existed, ended) = self.core.db.write(move |conn| match lock_for_staff(conn, id) {
            Ok(user) => {
                may_touch_other(conn, &by, &user)?;
                let scene = EventContext::of(id, now);
                let scene = if by.id == id { scene } else { scene.by(by.id) };
                Ok((true, delete_account(conn, &user, &scene)?))
            }
            Err(Error::NotFound) => Ok((false, Vec::new())),
            Err(error) => Err(error),
        })?;
        if existed {
            self.core.note_deleted(id, ended, now);
            tracing::info!(
                by = actor.0,
                user_id = id.0,
                "account removed at the Django REST adapter"
            );
        }
        Ok(existed)
    }
}

/// Returns up to `limit` users with ids above `after`, in the order of their ids.
pub fn list_users(core: &Flows, after: UserId, limit: i64) -> Result<Vec<User>> {
    Ok(core.db.read(|conn| users::list_page(conn, after, limit))?)
}

/// Every user may change the own account here; others as under `/v1`.
fn may_touch_other(conn: &mut Conn, by: &User, user: &User) -> Result<()> {
    if by.id == user.id { Ok(()) } else { may_modify(conn, by, user) }
}

/// A name that is an address is one's own: it does not stay behind to keep the address from its
/// owner.
fn let_name_follow(before: &User, changes: &mut UserChanges) {
    let name = changes.username.as_ref().unwrap_or(&before.username);
    let email = match &changes.email {
        EmailChange::Keep => before.email.as_ref(),
        EmailChange::Set(email) => Some(email),
        EmailChange::Remove => None,
    };
    if let Some(email) = email
        && name.as_str().contains('@')
        && *name != Username::of_address(email)
    {
        changes.username = Some(Username::of_address(email));
    }
}

/// A change of that account by the person or by staff.
fn scene_of(id: UserId, by: &User, device: &Device, now: UtcTime) -> EventContext {
    let scene = EventContext::of(id, now);
    if by.id == id { scene.on(device) } else { scene.by(by.id) }
}

fn disabled_as_unknown(error: Error) -> Error {
    match error {
        Error::AccountDisabled => Error::InvalidCredentials,
        other => other,
    }
}

/// The addresses among `wanted` that are not those of `user`.
fn other_addresses(user: &User, wanted: &AccountFields) -> Vec<Email> {
    let other_name = wanted.username.as_ref().filter(|name| **name != user.username);
    let named = other_name.and_then(|name| Email::parse(name.as_str()).ok());
    let mailed = match &wanted.email {
        EmailChange::Set(email) => Some(email.clone()),
        EmailChange::Keep | EmailChange::Remove => None,
    };
    let own = user.email.as_ref().map(Email::normalised);
    [named, mailed].into_iter().flatten().filter(|it| Some(it.normalised()) != own).collect()
}

fn taken(conn: &mut Conn, wanted: &AccountFields, own: Option<UserId>) -> store::Result<Taken> {
    let is_another = |found: Option<User>| found.is_some_and(|user| Some(user.id) != own);
    let mut taken = Taken::default();
    if let Some(username) = &wanted.username {
        taken.username = is_another(users::find_by_username(conn, username.as_str())?);
        // A name that is another user's address could pass for them.
        if let (false, Ok(email)) = (taken.username, Email::parse(username.as_str())) {
            taken.username = is_another(users::find_by_email(conn, &email)?);
        }
    }
    if let EmailChange::Set(email) = &wanted.email {
        taken.email = is_another(users::find_by_email(conn, email)?);
    }
    Ok(taken)
}
