//! Password reset with the link or the code of a mail. The mail worker finds out whether the
//! address is known, so the response does not reveal it.

use std::sync::Arc;

use crate::domain::secrets::Secrets;
use crate::domain::{
    Challenge, ChallengeId, ChallengeKind, Counted, Counter, Device, Email, EndReason,
    EventContext, EventKind, Locale, MailRequest, PlainPassword, PlainToken, User, UserId, UtcTime,
};
use crate::flows::account::release_username::release_username;
use crate::flows::account::verify_email::name_by_address;
use crate::flows::challenges::{check_code, pad_refusal};
use crate::flows::limits::{account_of, requester, reserve, reset_failed_logins};
use crate::flows::password::change::{NewPassword, replace};
use crate::flows::social::identities::unlink_identities;
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::{self, NewMail};
use crate::store::users::{self, changes};
use crate::store::{self, Conn, challenges, events};

/// Evidence for a password reset.
#[derive(Clone, Debug)]
pub enum ResetProof {
    /// The token of the mail's link.
    Link(PlainToken),
    /// The code of the mail.
    Code {
        /// The address that the mail was sent to.
        email: Email,
        /// The six digits.
        code: PlainToken,
    },
}

impl Flows {
    /// Queues the mail, for known and unknown addresses alike.
    pub fn request_password_reset(
        &self,
        email: Email,
        locale: Locale,
        device: &Device,
    ) -> Result<()> {
        let now = self.now();
        let mail = MailRequest::new(ChallengeKind::ResetPassword, &email, device);
        self.request_reset(&mail, |rank| {
            self.db.write(move |conn| {
                let mail = NewMail { rank, ..NewMail::password_reset(&email, &locale, None) };
                outbox::enqueue(conn, &mail, now).map_err(Error::from)
            })
        })?;
        tracing::info!("password reset requested");
        Ok(())
    }

    /// Sets the new password and ends all sessions.
    pub fn reset_password(
        &self,
        proof: ResetProof,
        new: &PlainPassword,
        device: &Device,
    ) -> Result<()> {
        pad_refusal(|| self.answer_reset(proof, new, device))
    }

    fn answer_reset(&self, proof: ResetProof, new: &PlainPassword, device: &Device) -> Result<()> {
        let now = self.now();
        let refusal: fn() -> Error = match &proof {
            ResetProof::Link(_) => || Error::OneTimeTokenInvalid,
            ResetProof::Code { .. } => || Error::CodeInvalid,
        };
        let (secrets, bounds) = (self.secrets.clone(), self.bounds());
        let proofs = vec![Counter::new(Counted::ProofsOfNetwork, &device.network)];
        let counted = proofs.clone();
        // A wrong code must be counted, so the refusal is not an error of the transaction. Counting
        // the request is part of it: for known and unknown addresses, the response waits for one
        // write transaction.
        let (challenge, user) = self.db.write(move |conn| {
            if let Some(bounds) = &bounds {
                reserve(conn, &secrets, bounds, counted, now)?;
            }
            Ok::<_, Error>(match proof {
                ResetProof::Link(link) => find_by_link(conn, &link, now)?,
                ResetProof::Code { email, code } => {
                    find_by_code(conn, &secrets, &email, &code, now)?.ok_or(Error::CodeInvalid)
                }
            })
        })??;
        self.do_counted(proofs, || {
            self.choose_password(Answered { challenge, user, refusal }, new, device, now)
        })
    }

    fn choose_password(
        &self,
        answered: Answered,
        new: &PlainPassword,
        device: &Device,
        now: UtcTime,
    ) -> Result<()> {
        self.check_password_of(&answered.user, new)?;
        // Apart from the hashes of sessions, so that a thief of one does not block the reset.
        let hashes = Counter::new(Counted::HashesOfUser, format!("reset:{}", answered.user.id));
        self.count(vec![hashes], || self.replace_password(answered, new, device, now))
    }

    fn replace_password(
        &self,
        Answered { challenge, user, refusal }: Answered,
        new: &PlainPassword,
        device: &Device,
        now: UtcTime,
    ) -> Result<()> {
        let hash = self.hasher.hash(requester(account_of(user.id), device), new)?;
        let (id, policy, secrets) = (user.id, Arc::clone(&self.policy), self.secrets.clone());
        let (context, place) = (EventContext::of(id, now).on(device), device.clone());
        let ended = self.write_accounts(move |conn| {
            let user = consume_pending(conn, &challenge, now)?.ok_or_else(refusal)?;
            let how = if challenge.kind == ChallengeKind::Invitation { "invitation" } else { "" };
            events::record(conn, &context, EventKind::PasswordReset, how)?;
            let new = NewPassword { hash: &hash, keep: None, reason: EndReason::PasswordReset };
            let ended = replace(conn, &policy, &user, &new, now)?;
            // The mail was sent to this address, so its use verifies it.
            if let Some(email) = &user.email {
                release_username(conn, &policy, email, Some(user.id), now)?;
                if let Some(user) = changes::mark_email_verified(conn, user.id, email, now)? {
                    name_by_address(conn, user, email, now)?;
                }
                if !user.email_verified {
                    events::record(conn, &context, EventKind::EmailVerified, "")?;
                    // They may be those of an attacker who registered with the user's address.
                    unlink_identities(conn, &context, user.id, None)?;
                }
            }
            reset_failed_logins(conn, &secrets, &user, &place)?;
            ended.ok_or_else(|| Error::Internal("a locked account changed".to_owned()))
        })?;
        self.note_ended(id, ended, EndReason::PasswordReset, now);
        tracing::info!(user_id = id.0, "password reset");
        Ok(())
    }
}

/// A challenge with a valid answer.
struct Answered {
    challenge: Challenge,
    user: User,
    /// The error if the challenge is consumed meanwhile.
    refusal: fn() -> Error,
}

type PendingReset = (Challenge, User);

fn find_by_link(
    conn: &mut Conn,
    link: &PlainToken,
    now: UtcTime,
) -> store::Result<Result<PendingReset>> {
    let found = challenges::find_by_link(conn, &link.hash())?
        .filter(|it| ChallengeKind::OF_PASSWORD.contains(&it.kind) && it.used_at.is_none());
    let Some(challenge) = found else {
        return Ok(Err(Error::OneTimeTokenInvalid));
    };
    if challenge.has_expired(now) {
        return Ok(Err(Error::OneTimeTokenExpired));
    }
    let owner = owner(conn, &challenge)?;
    Ok(owner.map(|user| (challenge, user)).ok_or(Error::OneTimeTokenInvalid))
}

/// Finds the reset of a code. Known and unknown addresses cause the same statements.
fn find_by_code(
    conn: &mut Conn,
    secrets: &Secrets,
    email: &Email,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<Option<PendingReset>> {
    // Serializes requests for one address, also if there is no challenge whose row would be locked.
    challenges::lock_address(conn, email)?;
    let user = users::find_by_email(conn, email)?.filter(|user| user.is_active);
    let owner = user.as_ref().map_or(UserId::NONE, |user| user.id);
    let challenge = challenges::find_newest(conn, owner, ChallengeKind::ResetPassword)?
        .filter(|it| it.used_at.is_none() && !it.has_expired(now));
    let is_right = check_code(conn, secrets, challenge.as_ref(), code, now)?;
    Ok(challenge.zip(user).filter(|_| is_right))
}

/// Returns the active user of a challenge, if the account still has the address that the mail was
/// sent to.
fn owner(conn: &mut Conn, challenge: &Challenge) -> store::Result<Option<User>> {
    let Some(id) = challenge.user_id else { return Ok(None) };
    let same = |user: &User| {
        user.email.as_ref().map(Email::normalised)
            == challenge.email.as_ref().map(Email::normalised)
    };
    Ok(users::lock_user(conn, id)?.filter(|user| user.is_active && same(user)))
}

/// Consumes the challenge. Of concurrent requests, one succeeds.
fn consume_pending(
    conn: &mut Conn,
    challenge: &Challenge,
    now: UtcTime,
) -> store::Result<Option<User>> {
    let owner = owner(conn, challenge)?;
    Ok(if challenges::consume_challenge(conn, &challenge.id, now)? { owner } else { None })
}

/// Returns the challenge of a password reset by mail. A retry of the same mail finds the same one;
/// the challenge of another mail becomes invalid.
pub(crate) fn reset_challenge(
    conn: &mut Conn,
    id: ChallengeId,
    user: &User,
    now: UtcTime,
) -> store::Result<Challenge> {
    if let Some(challenge) = challenges::find_by_id(conn, &id)? {
        return Ok(challenge);
    }
    let kind = ChallengeKind::ResetPassword;
    let remember_from = now.before(Challenge::MEMORY);
    let wrong_codes = challenges::supersede(conn, user.id, kind, remember_from)?;
    let challenge =
        Challenge { id, email: user.email.clone(), ..Challenge::new(kind, Some(user.id), now) };
    challenges::insert_challenge(conn, &challenge, wrong_codes)?;
    let context = EventContext::of(user.id, now);
    events::record(conn, &context, EventKind::PasswordResetRequested, "")?;
    Ok(challenge)
}
