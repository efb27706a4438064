//! What staff do with the accounts of others. A user who is not staff learns nothing, not even whether
//! an account exists. Superusers are changed by superusers only, and one always stays.

use crate::domain::{
    Challenge, ChallengeKind, Counted, Device, Email, EndReason, EventContext, EventKind,
    LinkedIdentity, Locale, PasswordHash, PlainPassword, SessionId, User, UserId, Username,
    UtcTime,
};
use crate::flows::account::delete::{delete_account, keep_one_superuser, lock_for_staff};
use crate::flows::account::register::insert_account;
use crate::flows::audit::record_changes;
use crate::flows::limits::{account_of, requester};
use crate::flows::password::change::forget_pending;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::user_search::{self, UserFilter, UserPage};
use crate::store::users::{self, NewUser, UserChanges};
use crate::store::{Conn, challenges, events, identities, sessions};

/// An account that staff make.
#[derive(Debug)]
pub struct NewAccount {
    /// The address.
    pub email: Email,
    /// The name to log in with, if it shall not be the address.
    pub username: Option<Username>,
    /// The password; without one a mail invites the person to choose it.
    pub password: Option<PlainPassword>,
    /// The language of mail.
    pub locale: Locale,
    /// True if it may manage others.
    pub is_staff: bool,
}

/// What staff change. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountChanges {
    /// The name to log in with.
    pub username: Option<Username>,
    /// The language of mail.
    pub locale: Option<Locale>,
    /// True if it may log in.
    pub is_active: Option<bool>,
    /// Why it may not, for other staff.
    pub disabled_reason: Option<String>,
    /// True if it may manage others.
    pub is_staff: Option<bool>,
}

impl Flows {
    /// The staff member who holds the token. What the token says of that may be minutes old.
    pub(crate) fn staff(&self, claims: &Claims) -> Result<User> {
        let user = self.require_active_user(claims.user_id())?;
        if user.is_staff { Ok(user) } else { Err(Error::PermissionDenied) }
    }

    /// A page of accounts.
    pub fn list_accounts(
        &self,
        claims: &Claims,
        filter: &UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<UserPage> {
        self.staff(claims)?;
        Ok(self.db.read(|conn| user_search::list_page(conn, filter, after, limit))?)
    }

    /// Returns an account with its identities.
    pub fn find_account(&self, claims: &Claims, id: UserId) -> Result<(User, Vec<LinkedIdentity>)> {
        self.staff(claims)?;
        self.db.read(|conn| {
            let user = users::find_by_id(conn, id)?.ok_or(Error::NotFound)?;
            Ok((user, identities::list_of_user(conn, id)?))
        })
    }

    /// Makes an account, or invites a user to it.
    pub fn create_account(
        &self,
        claims: &Claims,
        new: NewAccount,
        device: &Device,
    ) -> Result<User> {
        let staff = self.staff(claims)?;
        let password_hash = match &new.password {
            Some(password) => {
                let name = new.username.as_ref().map(Username::as_str);
                self.policy
                    .password
                    .check(password, Some(&new.email), name)
                    .map_err(|fault| Error::invalid("password", fault))?;
                self.refuse_breached("password", password)?;
                let whose = requester(account_of(staff.id), device);
                self.count_hashes(Counted::HashesOfStaff, staff.id, device, || {
                    Ok(self.hasher.hash(whose, password)?)
                })?
            }
            None => PasswordHash::unusable(),
        };
        let is_invited = new.password.is_none();
        let account = NewUser {
            username: new.username.unwrap_or_else(|| Username::of_address(&new.email)),
            email: Some(new.email),
            email_verified: false,
            password_hash,
            is_staff: new.is_staff,
            is_superuser: false,
            locale: new.locale,
        };
        let now = self.now();
        let by = staff.id;
        let user = self.db.write(move |conn| {
            require_staff(conn, by)?;
            make(conn, &account, by, is_invited, now)
        })?;
        tracing::info!(by = staff.id.0, user_id = user.id.0, is_invited, "account made by staff");
        Ok(user)
    }

    /// Changes an account. One that is switched off has its sessions ended.
    pub fn update_account(
        &self,
        claims: &Claims,
        id: UserId,
        changes: AccountChanges,
    ) -> Result<User> {
        let (staff, now) = (self.staff(claims)?, self.now());
        let by = staff.id;
        let (user, ended) = self.db.write(move |conn| {
            let seen = lock_for_staff(conn, id)?;
            may_modify(conn, &staff, &seen)?;
            change(conn, &seen, by, changes, now)
        })?;
        self.note_ended(id, ended, EndReason::AccountDisabled, now);
        self.note_rights(&user);
        tracing::info!(by = by.0, user_id = id.0, "account changed by staff");
        Ok(user)
    }

    /// Removes an account.
    pub fn remove_account(&self, claims: &Claims, id: UserId) -> Result<()> {
        let (staff, now) = (self.staff(claims)?, self.now());
        let by = staff.id;
        let ended = self.db.write(move |conn| {
            let seen = lock_for_staff(conn, id)?;
            may_modify(conn, &staff, &seen)?;
            delete_account(conn, &seen, Some(by), now)
        })?;
        self.note_deleted(id, ended, now);
        tracing::info!(by = by.0, user_id = id.0, "account removed by staff");
        Ok(())
    }

    /// Ends every session of an account.
    pub fn end_sessions_of(&self, claims: &Claims, id: UserId) -> Result<()> {
        let (staff, now) = (self.staff(claims)?, self.now());
        let (by, reason) = (staff.id, EndReason::EndedByStaff);
        let ended = self.db.write(move |conn| {
            let seen = lock_for_staff(conn, id)?;
            may_modify(conn, &staff, &seen)?;
            events::record(
                conn,
                &EventContext::of(id, now).by(by),
                EventKind::SessionsEndedByStaff,
                "",
            )?;
            forget_pending(conn, &seen)?;
            Ok::<_, Error>(sessions::end_all_sessions(conn, id, None, reason, now)?)
        })?;
        self.note_ended(id, ended, reason, now);
        tracing::info!(by = by.0, user_id = id.0, "sessions ended by staff");
        Ok(())
    }
}

/// Returns whether the caller, as the account is at this moment, may change the other one.
pub(crate) fn may_modify(conn: &mut Conn, staff: &User, other: &User) -> Result<()> {
    let staff = require_staff(conn, staff.id)?;
    if staff.is_superuser || !other.is_superuser { Ok(()) } else { Err(Error::PermissionDenied) }
}

/// The staff member as the account is at this moment: hashing takes a while, in which rights may go.
fn require_staff(conn: &mut Conn, id: UserId) -> Result<User> {
    let user = users::find_by_id(conn, id)?.filter(|user| user.is_active);
    let user = user.ok_or(Error::TokenRevoked)?;
    if user.is_staff { Ok(user) } else { Err(Error::PermissionDenied) }
}

/// Begins a new generation of the account's rights where they changed: access tokens tell the rights that the
/// account had when they were issued.
pub(crate) fn renew_rights(
    conn: &mut Conn,
    before: &User,
    after: User,
    now: UtcTime,
) -> Result<User> {
    let rights = |user: &User| (user.is_active, user.is_staff, user.is_superuser);
    if rights(before) == rights(&after) {
        return Ok(after);
    }
    let renewed = users::renew_rights(conn, after.id, now)?.ok_or(Error::NotFound)?;
    Ok(User { rights_changed_at: renewed, ..after })
}

fn make(
    conn: &mut Conn,
    account: &NewUser,
    by: UserId,
    is_invited: bool,
    now: UtcTime,
) -> Result<User> {
    let user = insert_account(conn, account, now)?;
    let how = if is_invited { "invited" } else { "" };
    let scene = EventContext::of(user.id, now).by(by);
    events::record(conn, &scene, EventKind::AccountCreatedByStaff, how)?;
    if let (true, Some(email)) = (is_invited, &user.email) {
        let challenge = Challenge {
            email: user.email.clone(),
            ..Challenge::new(ChallengeKind::Invitation, Some(user.id), now)
        };
        challenges::insert_challenge(conn, &challenge, 0)?;
        let kind = MailKind::Invitation;
        let (id, about) = (challenge.id.as_str(), Some(user.id));
        outbox::enqueue(conn, kind, email, &user.locale, id, about, now)?;
    }
    Ok(user)
}

fn change(
    conn: &mut Conn,
    user: &User,
    by: UserId,
    wanted: AccountChanges,
    now: UtcTime,
) -> Result<(User, Vec<SessionId>)> {
    let switched_off = wanted.is_active == Some(false);
    if switched_off || wanted.is_staff == Some(false) {
        keep_one_superuser(conn, user)?;
    }
    let disabled_reason = match wanted.is_active {
        // A reason says why an account is off.
        Some(true) => Some(None),
        None if user.is_active => None,
        _ => wanted.disabled_reason.map(Some),
    };
    let new = UserChanges {
        username: wanted.username,
        locale: wanted.locale,
        is_active: wanted.is_active,
        is_staff: wanted.is_staff,
        disabled_reason,
        ..UserChanges::default()
    };
    let changed = users::update_user(conn, user.id, &new, now)?.ok_or(Error::NotFound)?;
    record_changes(conn, &EventContext::of(user.id, now).by(by), user, &changed)?;
    let changed = renew_rights(conn, user, changed, now)?;
    if !switched_off {
        return Ok((changed, Vec::new()));
    }
    forget_pending(conn, user)?;
    let reason = EndReason::AccountDisabled;
    Ok((changed, sessions::end_all_sessions(conn, user.id, None, reason, now)?))
}
