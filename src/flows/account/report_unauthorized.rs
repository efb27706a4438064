//! Report of unauthorized activity by the link of a security notice. It ends all sessions, voids
//! pending challenges, unlinks identities linked and revokes API keys created since then, reverts a
//! change of the e-mail address, and offers a password reset.

use std::sync::Arc;

use crate::domain::{
    Challenge, ChallengeKind, Device, Email, EmailChange, EndReason, EventContext, EventKind,
    PlainToken, SessionId, TokenHash, User, UserId, UtcTime,
};
use crate::flows::account::release_username::release_username;
use crate::flows::admin::api_keys::revoke_created_since;
use crate::flows::audit::record_changes;
use crate::flows::password::change::forget_pending;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::social::identities::unlink_identities;
use crate::flows::{Error, Flows, Policy, Result};
use crate::store::outbox::{self, NewMail};
use crate::store::users::changes::{self, UserChanges};
use crate::store::users::{self, rights};
use crate::store::{self, Conn, Unique, challenges, events, sessions, sessions::known_devices};

impl Flows {
    /// Reports unauthorized activity, once. A repetition of the request succeeds and does nothing.
    pub fn report_unauthorized(&self, token: &PlainToken, device: &Device) -> Result<()> {
        let (link, device, now) = (token.hash(), device.clone(), self.now());
        let policy = Arc::clone(&self.policy);
        let answered =
            self.write_accounts(move |conn| answer_notice(conn, &policy, &link, &device, now))?;
        let Some((id, ended)) = answered else {
            return Ok(());
        };
        self.note_ended(id, ended, EndReason::UnauthorizedReported, now);
        tracing::warn!(
            user_id = id.0,
            "unauthorized activity was reported; every session was ended"
        );
        Ok(())
    }
}

fn answer_notice(
    conn: &mut Conn,
    policy: &Policy,
    link: &TokenHash,
    device: &Device,
    now: UtcTime,
) -> Result<Option<(UserId, Vec<SessionId>)>> {
    let notice = challenges::find_by_link(conn, link)?
        .filter(|notice| notice.kind == ChallengeKind::ReportUnauthorized)
        .ok_or(Error::OneTimeTokenInvalid)?;
    if notice.has_expired(now) {
        return Err(Error::OneTimeTokenExpired);
    }
    let owner = notice.user_id.ok_or(Error::OneTimeTokenInvalid)?;
    let user = lock_active(conn, owner)?.ok_or(Error::OneTimeTokenInvalid)?;
    if !challenges::consume_challenge(conn, &notice.id, now)? {
        return Ok(None);
    }
    let context = EventContext::of(user.id, now).on(device);
    events::record(conn, &context, EventKind::UnauthorizedReported, "")?;
    forget_pending(conn, &user)?;
    known_devices::forget_all(conn, user.id)?;
    // A thief could log in with one.
    unlink_identities(conn, &context, user.id, Some(notice.created_at))?;
    revoke_created_since(conn, &context, user.id, notice.created_at)?;
    let before = user.clone();
    let user = revert_email(conn, policy, user, &notice, now)?;
    record_changes(conn, &context, &before, &user)?;
    if let Some(email) = user.email.as_ref().filter(|email| email.is_deliverable()) {
        let mail = NewMail::password_reset(email, &user.locale, Some(user.id));
        outbox::enqueue(conn, &mail, now)?;
    }
    let ended =
        sessions::end_all_sessions(conn, user.id, None, EndReason::UnauthorizedReported, now)?;
    Ok(Some((user.id, ended)))
}

/// Returns the notice whose link can revert the unverified address of an account to the verified
/// one. Only the Django REST adapter sets an unverified address.
pub(crate) fn find_revertible_change(
    conn: &mut Conn,
    user: &User,
    now: UtcTime,
) -> store::Result<Option<Challenge>> {
    if user.email_verified { Ok(None) } else { challenges::find_revertible(conn, user.id, now) }
}

/// Releases an address that `owner` verifies from another account that has not verified it. That
/// account gets its former verified address back, or none.
pub(crate) fn release_unverified_email(
    conn: &mut Conn,
    policy: &Policy,
    email: &Email,
    owner: Option<UserId>,
    now: UtcTime,
) -> Result<()> {
    let Some(holder) = users::find_by_email(conn, email)? else { return Ok(()) };
    if owner == Some(holder.id) {
        return Ok(());
    }
    let is_unverified = |it: &User| !it.email_verified && it.has_email(email);
    let Some(holder) = users::lock_user(conn, holder.id)?.filter(is_unverified) else {
        return Ok(());
    };
    let mut after = match find_revertible_change(conn, &holder, now)? {
        Some(undo) => revert_email(conn, policy, holder.clone(), &undo, now)?,
        None => holder.clone(),
    };
    if after.has_email(email) {
        let changes = UserChanges { email: EmailChange::Remove, ..UserChanges::default() };
        after = changes::update_user(conn, holder.id, &changes, now)?.unwrap_or(after);
    }
    challenges::delete_of_kinds(conn, holder.id, ChallengeKind::OF_PASSWORD)?;
    rights::renew_rights(conn, holder.id, now)?;
    record_changes(conn, &EventContext::of(holder.id, now), &holder, &after)?;
    tracing::info!(user_id = holder.id.0, "unverified e-mail address released for another account");
    Ok(())
}

/// Releases an address that staff give a new account from an account whose user set it without
/// verifying it: otherwise any user could block an invitation. An unverified address that the
/// account had from the beginning, for example by an import, stays.
pub(crate) fn release_changed_email(
    conn: &mut Conn,
    policy: &Policy,
    email: &Email,
    now: UtcTime,
) -> Result<()> {
    let holder = users::find_by_email(conn, email)?;
    let Some(holder) = holder.filter(|it| !it.is_staff && !it.is_superuser) else { return Ok(()) };
    if find_revertible_change(conn, &holder, now)?.is_none() {
        return Ok(());
    }
    release_unverified_email(conn, policy, email, None, now)
}

/// Restores the address that the notice was sent to, if it was about a change. Notices that went to
/// later addresses become invalid, since their holders could revert this. Earlier notices stay
/// valid: otherwise a thief could void those of the owner by a change of their own.
fn revert_email(
    conn: &mut Conn,
    policy: &Policy,
    user: User,
    notice: &Challenge,
    now: UtcTime,
) -> Result<User> {
    let Some(old) = &notice.email else { return Ok(user) };
    challenges::delete_newer_notices(conn, notice)?;
    if user.has_email(old) {
        return Ok(user);
    }
    // Another user may have registered the address since. It stays theirs, with the user name.
    if users::find_by_email(conn, old)?.is_some_and(|holder| holder.id != user.id) {
        return Ok(user);
    }
    release_username(conn, policy, old, Some(user.id), now)?;
    match changes::change_email(conn, &user, old, now) {
        Ok(back) => {
            if let Some(left) = &user.email {
                outbox::claim(conn, user.id, left)?;
            }
            Ok(back)
        }
        Err(store::Error::Duplicate(Unique::Email | Unique::Username)) => Ok(user),
        Err(error) => Err(error.into()),
    }
}
