//! "This was not me": the link of a security notice. It ends every session, stops what waits for a
//! click, brings back an address that was replaced, and offers a new password.

use crate::domain::{
    Challenge, ChallengeKind, Device, Email, EndReason, EventContext, EventKind, PlainToken,
    SessionId, TokenHash, User, UserId, UtcTime,
};
use crate::flows::account::release_username::release_username;
use crate::flows::audit::record_changes;
use crate::flows::password::change::forget_pending;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::{Error, Flows, Policy, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::{self, Conn, Unique, challenges, events, known_devices, sessions, users};

impl Flows {
    /// Does what the link says, once. Opened again, it is answered as the first time.
    pub fn disavow(&self, token: &PlainToken, device: &Device) -> Result<()> {
        let (link, device, now) = (token.hash(), device.clone(), self.now());
        let policy = self.policy.clone();
        let undone = self.db.write(move |conn| undo(conn, &policy, &link, &device, now))?;
        let Some((id, ended)) = undone else {
            return Ok(());
        };
        self.note_ended(id, ended, EndReason::Disavowed, now);
        self.mail_ordered.notify_one();
        tracing::warn!(user_id = id.0, "disavowed; every session was ended");
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
    events::record(conn, &scene, EventKind::Disavowed, "")?;
    forget_pending(conn, &user)?;
    known_devices::forget_all(conn, user.id)?;
    let before = user.clone();
    let user = bring_back(conn, policy, user, &notice, now)?;
    record_changes(conn, &scene, &before, &user)?;
    if let Some(email) = user.email.as_ref().filter(|email| email.is_reachable()) {
        let kind = MailKind::PasswordReset;
        let (subject, about) = (email.normalised(), Some(user.id));
        outbox::enqueue(conn, kind, email, &user.locale, subject, about, now)?;
    }
    let ended = sessions::end_all_sessions(conn, user.id, None, EndReason::Disavowed, now)?;
    Ok(Some((user.id, ended)))
}

/// The notice that can undo it, if the account has an address without proof in the place of a proven one (the
/// Django face lets it).
pub(crate) fn undo_of_unproven(
    conn: &mut Conn,
    user: &User,
    now: UtcTime,
) -> store::Result<Option<Challenge>> {
    if user.email_verified { Ok(None) } else { challenges::find_undo(conn, user.id, now) }
}

/// Takes an address that somebody else is about to prove from an account that has it without proof. That one
/// gets back what it had.
pub(crate) fn free_address(
    conn: &mut Conn,
    policy: &Policy,
    email: &Email,
    now: UtcTime,
) -> Result<()> {
    let Some(holder) = users::find_by_email(conn, email)? else { return Ok(()) };
    let Some(holder) = lock_active(conn, holder.id)? else { return Ok(()) };
    let Some(undo) = undo_of_unproven(conn, &holder, now)? else { return Ok(()) };
    let after = bring_back(conn, policy, holder.clone(), &undo, now)?;
    record_changes(conn, &EventContext::of(holder.id, now), &holder, &after)?;
    Ok(())
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
    release_username(conn, policy, old, Some(user.id), now)?;
    match users::change_email(conn, &user, old, now) {
        Ok(back) => {
            if let Some(left) = &user.email {
                outbox::claim(conn, user.id, left)?;
            }
            Ok(back)
        }
        // Somebody registered the address meanwhile; then it is theirs.
        Err(store::Error::Duplicate(Unique::Email | Unique::Username)) => Ok(user),
        Err(error) => Err(error.into()),
    }
}
