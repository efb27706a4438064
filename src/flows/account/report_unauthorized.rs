//! "This was not me": the link of a security notice. It ends every session, stops what waits for a
//! click, unlinks identities that were linked since, brings back an address that was replaced, and offers
//! a new password.

use crate::domain::{
    Challenge, ChallengeKind, Device, Email, EmailChange, EndReason, EventContext, EventKind,
    PlainToken, SessionId, TokenHash, User, UserId, UtcTime,
};
use crate::flows::account::release_username::release_username;
use crate::flows::audit::record_changes;
use crate::flows::password::change::forget_pending;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::{Error, Flows, Policy, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::users::UserChanges;
use crate::store::{
    self, Conn, Unique, challenges, events, identities, known_devices, rights, sessions, users,
};

impl Flows {
    /// Does what the link says, once. Opened again, it is answered as the first time.
    pub fn disavow(&self, token: &PlainToken, device: &Device) -> Result<()> {
        let (link, device, now) = (token.hash(), device.clone(), self.now());
        let policy = self.policy.clone();
        let undone = self.db.write(move |conn| undo(conn, &policy, &link, &device, now))?;
        let Some((id, ended)) = undone else {
            return Ok(());
        };
        self.note_ended(id, ended, EndReason::UnauthorizedReported, now);
        self.learn_renewed_rights();
        tracing::warn!(
            user_id = id.0,
            "unauthorized activity was reported; every session was ended"
        );
        Ok(())
    }
}

fn undo(
    conn: &mut Conn,
    policy: &Policy,
    link: &TokenHash,
    device: &Device,
    now: UtcTime,
) -> Result<Option<(UserId, Vec<SessionId>)>> {
    let notice = challenges::find_by_link(conn, link)?
        .filter(|notice| notice.kind == ChallengeKind::Disavow)
        .ok_or(Error::OneTimeTokenInvalid)?;
    if notice.has_expired(now) {
        return Err(Error::OneTimeTokenExpired);
    }
    let owner = notice.user_id.ok_or(Error::OneTimeTokenInvalid)?;
    let user = lock_active(conn, owner)?.ok_or(Error::OneTimeTokenInvalid)?;
    if !challenges::consume_challenge(conn, &notice.id, now)? {
        return Ok(None);
    }
    let scene = EventContext::of(user.id, now).on(device);
    events::record(conn, &scene, EventKind::UnauthorizedReported, "")?;
    forget_pending(conn, &user)?;
    known_devices::forget_all(conn, user.id)?;
    unlink_since(conn, &scene, user.id, notice.created_at)?;
    let before = user.clone();
    let user = bring_back(conn, policy, user, &notice, now)?;
    record_changes(conn, &scene, &before, &user)?;
    if let Some(email) = user.email.as_ref().filter(|email| email.is_reachable()) {
        let kind = MailKind::PasswordReset;
        let (subject, about) = (email.normalised(), Some(user.id));
        outbox::enqueue(conn, kind, email, &user.locale, subject, about, now)?;
    }
    let ended =
        sessions::end_all_sessions(conn, user.id, None, EndReason::UnauthorizedReported, now)?;
    Ok(Some((user.id, ended)))
}

/// Unlinks the identities that were linked to an account since `since`: a thief would log in with one.
fn unlink_since(
    conn: &mut Conn,
    scene: &EventContext,
    user: UserId,
    since: UtcTime,
) -> store::Result<()> {
    for identity in identities::unlink_since(conn, user, since)? {
        events::record(conn, scene, EventKind::IdentityUnlinked, &identity.provider)?;
    }
    Ok(())
}

/// The notice that can undo it, if the account has an address without proof in the place of a proven one (the
/// Django REST adapter lets it).
pub(crate) fn undo_of_unproven(
    conn: &mut Conn,
    user: &User,
    now: UtcTime,
) -> store::Result<Option<Challenge>> {
    if user.email_verified { Ok(None) } else { challenges::find_undo(conn, user.id, now) }
}

/// Takes an address that `owner` verifies from another account that has not verified it. That one gets back
/// the address that it had verified before, or has none.
pub(crate) fn free_address(
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
    let is_unverified = |it: &User| !it.email_verified && holds(it, email);
    let Some(holder) = users::lock_user(conn, holder.id)?.filter(is_unverified) else {
        return Ok(());
    };
    let mut after = match undo_of_unproven(conn, &holder, now)? {
        Some(undo) => bring_back(conn, policy, holder.clone(), &undo, now)?,
        None => holder.clone(),
    };
    if holds(&after, email) {
        let changes = UserChanges { email: EmailChange::Remove, ..UserChanges::default() };
        after = users::update_user(conn, holder.id, &changes, now)?.unwrap_or(after);
    }
    challenges::delete_of_kinds(conn, holder.id, ChallengeKind::OF_PASSWORD)?;
    rights::renew(conn, holder.id, now)?;
    record_changes(conn, &EventContext::of(holder.id, now), &holder, &after)?;
    tracing::info!(user_id = holder.id.0, "lost its unverified address: another user verified it");
    Ok(())
}

fn holds(user: &User, email: &Email) -> bool {
    user.email.as_ref().map(Email::normalised) == Some(email.normalised())
}

/// Gives the account back the address that the notice went to, if it was about a change. Whoever
/// holds a later address could undo this with the notices that went there: they count no longer. The
/// earlier ones stay, or a thief would get rid of the owner's by a notice of their own.
fn bring_back(
    conn: &mut Conn,
    policy: &Policy,
    user: User,
    notice: &Challenge,
    now: UtcTime,
) -> Result<User> {
    let Some(old) = &notice.email else { return Ok(user) };
    challenges::delete_newer(conn, notice)?;
    if user.email.as_ref().map(Email::normalised) == Some(old.normalised()) {
        return Ok(user);
    }
    // Another user may have registered the address meanwhile; then it is theirs, with the user name.
    if users::find_by_email(conn, old)?.is_some_and(|holder| holder.id != user.id) {
        return Ok(user);
    }
    release_username(conn, policy, old, Some(user.id), now)?;
    match users::change_email(conn, &user, old, now) {
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
