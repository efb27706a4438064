//! Change of the user's own password. The current session stays open; the others are ended.

use std::sync::Arc;

use crate::domain::{
    ChallengeKind, Counted, Device, Email, EndReason, EventKind, PasswordHash, PlainPassword,
    SessionId, User, UtcTime,
};
use crate::flows::audit::context_of;
use crate::flows::limits::{account_of, requester};
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::password::reauthenticate::lock_for;
use crate::flows::session::log_in::MAX_COMPARISONS;
use crate::flows::{Claims, Error, Field, Flows, Policy, Result};
use crate::store::outbox::MailKind;
use crate::store::users::changes;
use crate::store::{Conn, challenges, events, sessions, sessions::known_devices};

impl Flows {
    /// Replaces the password of the caller. `current` may be missing right after a log-in.
    pub fn change_password(
        &self,
        claims: &Claims,
        current: Option<&PlainPassword>,
        new: &PlainPassword,
        device: &Device,
    ) -> Result<()> {
        self.count_hashes(Counted::HashesOfUser, claims.user_id(), device, || {
            let mut user = self.check_again(claims, current, device)?;
            self.check_password_of(&user, new)?;
            let hash = self.hasher.hash(requester(account_of(user.id), device), new)?;
            for _ in 0..MAX_COMPARISONS {
                if self.try_to_replace(claims, &user.password_hash, &hash, device)? {
                    return Ok(());
                }
                // The hash was upgraded by a log-in meanwhile, or the password was changed.
                user = self.check_again(claims, current, device)?;
            }
            Err(Error::InvalidCredentials)
        })
    }

    /// Replaces the hash `seen` by `hash`. Returns false if another one is stored.
    fn try_to_replace(
        &self,
        claims: &Claims,
        seen: &PasswordHash,
        hash: &PasswordHash,
        device: &Device,
    ) -> Result<bool> {
        let (policy, session, now) = (Arc::clone(&self.policy), claims.session_id(), self.now());
        let (id, seen, hash) = (claims.user_id(), seen.clone(), hash.clone());
        let context = context_of(claims, device, now);
        let changed = self.db.write(move |conn| {
            // Read again: the address may have changed while the password was hashed.
            let user = lock_for(conn, id, &session)?;
            if user.password_hash != seen {
                return Ok(None);
            }
            let new = NewPassword {
                hash: &hash,
                keep: Some(&session),
                reason: EndReason::PasswordChanged,
            };
            let replaced = replace(conn, &policy, &user, &new, now)?;
            if replaced.is_some() {
                events::record(conn, &context, EventKind::PasswordChanged, "")?;
            }
            Ok::<_, Error>(replaced)
        })?;
        let Some(ended) = changed else { return Ok(false) };
        self.note_ended(id, ended, EndReason::PasswordChanged, now);
        tracing::info!(user_id = id.0, "password changed");
        Ok(true)
    }

    /// Checks a new password for the account.
    pub(crate) fn check_password_of(&self, user: &User, password: &PlainPassword) -> Result<()> {
        let name = Some(user.username.as_str());
        self.check_new_password("new_password", password, user.email.as_ref(), name)
    }

    /// Checks that the policy accepts `password` for a user with this address and user name, and
    /// that it was not breached.
    pub(crate) fn check_new_password(
        &self,
        field: Field,
        password: &PlainPassword,
        email: Option<&Email>,
        name: Option<&str>,
    ) -> Result<()> {
        let checked = self.policy.password.check(password, email, name);
        checked.map_err(|fault| Error::invalid(field, fault))?;
        self.refuse_breached(field, password)
    }
}

/// A new password, with its effect on the sessions of the user.
pub(crate) struct NewPassword<'a> {
    pub(crate) hash: &'a PasswordHash,
    /// The session that stays open.
    pub(crate) keep: Option<&'a SessionId>,
    /// The reason why the others end.
    pub(crate) reason: EndReason,
}

/// Replaces the password that `user` was read with, ends the other sessions, voids pending
/// challenges, and notifies the user. Returns the ended sessions, or `None` if another password is
/// stored.
pub(crate) fn replace(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    new: &NewPassword<'_>,
    now: UtcTime,
) -> Result<Option<Vec<SessionId>>> {
    if !changes::change_password(conn, user.id, &user.password_hash, new.hash, now)? {
        return Ok(None);
    }
    forget_pending(conn, user)?;
    // A client with the old password may have logged in with it.
    known_devices::forget_all(conn, user.id)?;
    let notice = Notice { kind: MailKind::PasswordChanged, detail: "", reverts_to: None };
    queue_notice(conn, policy, user, &notice, now)?;
    Ok(Some(sessions::end_all_sessions(conn, user.id, new.keep, new.reason, now)?))
}

/// Deletes the pending challenges of a user: resets, changes of the address, and registrations of
/// the address. Verified registrations are included, since their link logs in with the old
/// password.
pub(crate) fn forget_pending(conn: &mut Conn, user: &User) -> Result<()> {
    challenges::delete_of_kinds(conn, user.id, ChallengeKind::OF_PASSWORD)?;
    challenges::delete_of_kinds(conn, user.id, ChallengeKind::OF_ADDRESS)?;
    if let Some(email) = &user.email {
        challenges::delete_of_address(conn, email, None)?;
    }
    Ok(())
}
