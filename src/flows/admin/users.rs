//! Administration of accounts by staff, and by services with an API key. Other callers cannot find
//! out which accounts exist. The last superuser cannot be removed.

use std::sync::Arc;

use crate::domain::{
    EndReason, EventContext, EventKind, Fault, Locale, Roles, Scope, SessionId, User, UserId,
    Username, UtcTime,
};
use crate::flows::account::delete::{delete_account, keep_one_superuser, lock_for_staff};
use crate::flows::account::metadata::{MetadataChange, require_room_after_change};
use crate::flows::account::placeholder::refuse_reserved;
use crate::flows::audit::record_changes;
use crate::flows::password::change::forget_pending;
use crate::flows::social::ListedIdentity;
use crate::flows::{Caller, Error, Flows, Result};
use crate::security::access_token::TokenSettings;
use crate::store::users::changes::{self, UserChanges};
use crate::store::users::search::{self, UserFilter, UserPage};
use crate::store::users::{self, rights};
use crate::store::{Conn, events, identities, sessions};

/// Changes of an account. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct AccountChanges {
    /// The user name.
    pub username: Option<Username>,
    /// The language of mail.
    pub locale: Option<Locale>,
    /// True if the account may log in.
    pub is_active: Option<bool>,
    /// The reason for disabling it, for other staff.
    pub disabled_reason: Option<String>,
    /// The time at which it is enabled again; `Some(None)` for no such time.
    pub disabled_until: Option<Option<UtcTime>>,
    /// True for a staff account.
    pub is_staff: Option<bool>,
    /// Its roles in applications.
    pub roles: Option<Roles>,
    /// A merge patch of the metadata that staff and services keep.
    pub app_metadata: Option<MetadataChange>,
}

impl Flows {
    /// Returns a page of accounts.
    pub fn list_users(
        &self,
        caller: &Caller,
        filter: &UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<UserPage> {
        self.administrator(caller, Scope::UsersRead)?;
        Ok(self.db.read(|conn| search::list_page(conn, filter, after, limit))?)
    }

    /// Returns an account with its identities.
    pub fn get_user(&self, caller: &Caller, id: UserId) -> Result<(User, Vec<ListedIdentity>)> {
        self.administrator(caller, Scope::UsersRead)?;
        self.db.read(|conn| {
            let user = users::find_by_id(conn, id)?.ok_or(Error::NotFound)?;
            Ok((user, self.social.listed(identities::list_of_user(conn, id)?)))
        })
    }

    /// Changes an account. Disabling it ends its sessions.
    pub fn update_user(
        &self,
        caller: &Caller,
        id: UserId,
        changes: AccountChanges,
    ) -> Result<User> {
        let (by, now) = (self.administrator(caller, Scope::UsersWrite)?, self.now());
        if changes.is_staff.is_some() {
            by.may_set_staff()?;
        }
        let (caller, tokens) = (by.clone(), Arc::clone(self.access_tokens.settings()));
        let field = match (&changes.roles, &changes.app_metadata) {
            (_, Some(_)) => "app_metadata",
            (Some(_), None) => "roles",
            (None, None) => "username",
        };
        let clock = Arc::clone(&self.clock);
        let (user, ended) = self.write_accounts(move |conn| {
            let seen = lock_for_staff(conn, id)?;
            // Tokens may have been issued while this waited for the account.
            let now = clock.now();
            caller.may_modify(conn, &seen, now)?;
            let outcome = change(conn, &tokens, &seen, &caller.context(id, now), changes)?;
            require_room_after_change(&tokens, Some(&seen), &outcome.0, field, now)?;
            Ok::<_, Error>(outcome)
        })?;
        self.note_ended(id, ended, EndReason::AccountDisabled, now);
        self.note_rights(&user);
        tracing::info!(
            by = by.staff_id(),
            api_key = by.api_key(),
            user_id = id.0,
            "account changed by staff"
        );
        Ok(user)
    }

    /// Deletes an account.
    pub fn delete_user(&self, caller: &Caller, id: UserId) -> Result<()> {
        let (by, now) = (self.administrator(caller, Scope::UsersWrite)?, self.now());
        let caller = by.clone();
        let deletion = self.write_deletion(id, move |conn, rows| {
            let seen = lock_for_staff(conn, id)?;
            caller.may_modify(conn, &seen, now)?;
            delete_account(conn, &seen, &caller.context(id, now), rows)
        })?;
        self.note_deleted(id, deletion, now);
        tracing::info!(
            by = by.staff_id(),
            api_key = by.api_key(),
            user_id = id.0,
            "account deleted by staff"
        );
        Ok(())
    }

    /// Ends all sessions of an account.
    pub fn end_user_sessions(&self, caller: &Caller, id: UserId) -> Result<()> {
        let (by, now) = (self.administrator(caller, Scope::UsersWrite)?, self.now());
        let (caller, reason) = (by.clone(), EndReason::EndedByStaff);
        let ended = self.db.write(move |conn| {
            let seen = lock_for_staff(conn, id)?;
            caller.may_modify(conn, &seen, now)?;
            let context = caller.context(id, now);
            events::record(conn, &context, EventKind::SessionsEndedByStaff, "")?;
            forget_pending(conn, &seen)?;
            Ok::<_, Error>(sessions::end_all_sessions(conn, id, None, reason, now)?)
        })?;
        self.note_ended(id, ended, reason, now);
        tracing::info!(
            by = by.staff_id(),
            api_key = by.api_key(),
            user_id = id.0,
            "sessions ended by staff"
        );
        Ok(())
    }
}

/// Starts a new generation of the account's rights if they changed, claims from `app_metadata`
/// included: access tokens contain the rights at the time of issue.
pub(crate) fn renew_rights(
    conn: &mut Conn,
    tokens: &TokenSettings,
    before: &User,
    after: User,
    now: UtcTime,
) -> Result<User> {
    let rights =
        |user: &User| (user.is_active, user.is_staff, user.is_superuser, user.roles.clone());
    let claims = |user| tokens.claims_of_staff(user);
    if rights(before) == rights(&after) && claims(before) == claims(&after) {
        return Ok(after);
    }
    let renewed = rights::renew_rights(conn, after.id, now)?.ok_or(Error::NotFound)?;
    Ok(User { rights_changed_at: renewed, ..after })
}

/// Changes an account, records what changed, and renews its rights.
pub(crate) fn apply_changes(
    conn: &mut Conn,
    tokens: &TokenSettings,
    user: &User,
    context: &EventContext,
    changes: &UserChanges,
) -> Result<User> {
    let after = changes::update_user(conn, user.id, changes, context.at)?;
    let after = after.ok_or(Error::NotFound)?;
    record_changes(conn, context, user, &after)?;
    renew_rights(conn, tokens, user, after, context.at)
}

fn change(
    conn: &mut Conn,
    tokens: &TokenSettings,
    user: &User,
    context: &EventContext,
    wanted: AccountChanges,
) -> Result<(User, Vec<SessionId>)> {
    let now = context.at;
    if let Some(name) = &wanted.username {
        refuse_reserved(name, Some(&user.username))?;
    }
    let switched_off = wanted.is_active == Some(false);
    if switched_off || wanted.is_staff == Some(false) {
        keep_one_superuser(conn, user)?;
    }
    let disabled_until = disabled_until(user, &wanted, now)?;
    let disabled_reason = match wanted.is_active {
        // The reason belongs to a disabled account.
        Some(true) => Some(None),
        None if user.is_active => None,
        _ => wanted.disabled_reason.map(Some),
    };
    let app_metadata = wanted.app_metadata.map(|change| change.applied_to(&user.app_metadata));
    let app_metadata = app_metadata.transpose().map_err(|it| Error::invalid("app_metadata", it))?;
    let new = UserChanges {
        username: wanted.username,
        locale: wanted.locale,
        is_active: wanted.is_active,
        is_staff: wanted.is_staff,
        disabled_reason,
        disabled_until,
        roles: wanted.roles,
        app_metadata,
        ..UserChanges::default()
    };
    let changed = apply_changes(conn, tokens, user, context, &new)?;
    if !switched_off {
        return Ok((changed, Vec::new()));
    }
    forget_pending(conn, user)?;
    let reason = EndReason::AccountDisabled;
    Ok((changed, sessions::end_all_sessions(conn, user.id, None, reason, now)?))
}

/// Returns the change of the date until which an account is disabled.
///
/// # Errors
/// The date has to be in the future, and the account disabled.
#[expect(clippy::option_option, reason = "a merge patch: to keep, to empty, or to set")]
fn disabled_until(
    user: &User,
    wanted: &AccountChanges,
    now: UtcTime,
) -> Result<Option<Option<UtcTime>>> {
    let is_active = wanted.is_active.unwrap_or(user.is_active);
    match wanted.disabled_until {
        Some(Some(until)) if is_active || until <= now => {
            Err(Error::invalid("disabled_until", Fault::DateNotAhead))
        }
        _ if wanted.is_active == Some(true) => Ok(Some(None)),
        // To disable an account without a date is to disable it for good.
        None if wanted.is_active == Some(false) => Ok(Some(None)),
        wanted => Ok(wanted),
    }
}
