//! Choosing a new password with what a mail carries: link or code. Whether the address is known is
//! found out when the mail is written, so asking tells nothing.

use crate::domain::token::Secrets;
use crate::domain::{
    Challenge, ChallengeId, ChallengeKind, Counted, Counter, Device, Email, EndReason,
    EventContext, EventKind, Locale, MailRequest, PlainPassword, PlainToken, User, UserId, UtcTime,
};
use crate::flows::account::release_username::release_username;
use crate::flows::challenges::{check_code, pad_refusal};
use crate::flows::limits::{account_of, requester, reserve, reset_failed_logins};
use crate::flows::password::change::replace;
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::{self, Conn, challenges, events, identities, users};

/// What a user shows who wants to choose a new password.
#[derive(Clone, Debug)]
pub enum ResetProof {
    /// The token of the mail's link.
    Link(PlainToken),
    /// The digits of the mail.
    Code {
        /// The address it went to.
        email: Email,
        /// The digits.
        code: PlainToken,
    },
}

impl Flows {
    /// Orders the mail, whatever is known of the address.
    pub fn request_password_reset(
        &self,
        email: Email,
        locale: Locale,
        device: &Device,
    ) -> Result<()> {
        let now = self.now();
        let mail = MailRequest::new(ChallengeKind::ResetPassword, &email, device);
        self.request_reset(&mail, || {
            self.db.write(move |conn| {
                let subject = email.normalised();
                outbox::enqueue(conn, MailKind::PasswordReset, &email, &locale, subject, None, now)
                    .map_err(Error::from)
            })
        })?;
        tracing::info!("password reset asked for");
        Ok(())
    }

    /// Puts `new` in the place of the password, whatever that was. Every session ends.
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
        // A wrong code must be counted, so the refusal is not an error of the transaction. The use of the
        // limit is part of it: whatever is known of the address, one transaction that writes is waited for.
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
        Answered { challenge, user, refusal }: Answered,
        new: &PlainPassword,
        device: &Device,
        now: UtcTime,
    ) -> Result<()> {
        self.check_password_of(&user, new)?;
        self.refuse_breached("new_password", new)?;
        let hash = self.hasher.hash(requester(account_of(user.id), device), new)?;
        let (id, policy, secrets) = (user.id, self.policy.clone(), self.secrets.clone());
        let (scene, place) = (EventContext::of(id, now).on(device), device.clone());
        let ended = self.db.write(move |conn| {
            let user = still_due(conn, &challenge, now)?.ok_or_else(refusal)?;
            let how = if challenge.kind == ChallengeKind::Invitation { "invitation" } else { "" };
            events::record(conn, &scene, EventKind::PasswordReset, how)?;
            let ended = replace(conn, &policy, &user, &hash, None, EndReason::PasswordReset, now)?;
            // What came with a mail to the address proves it.
            if let Some(email) = &user.email {
                release_username(conn, &policy, email, Some(user.id), now)?;
                users::mark_email_verified(conn, user.id, email, now)?;
                if !user.email_verified {
                    events::record(conn, &scene, EventKind::EmailVerified, "")?;
                    unlink_identities(conn, user.id, &scene)?;
                }
            }
            reset_failed_logins(conn, &secrets, &user, &place)?;
            ended.ok_or_else(|| Error::Internal("a locked account changed".to_owned()))
        })?;
        self.note_ended(id, ended, EndReason::PasswordReset, now);
        self.learn_renewed_rights();
        tracing::info!(user_id = id.0, "password reset");
        Ok(())
    }
}

/// A challenge that was answered, and what it is answered with if it is used up meanwhile.
struct Answered {
    challenge: Challenge,
    user: User,
    refusal: fn() -> Error,
}

/// Unlinks the identities of an account whose address was not verified before: they may be those of
/// another person, who registered with the address of the user.
fn unlink_identities(conn: &mut Conn, id: UserId, scene: &EventContext) -> store::Result<()> {
    for identity in identities::unlink_since(conn, id, UtcTime::from_micros(0))? {
        events::record(conn, scene, EventKind::IdentityUnlinked, &identity.provider)?;
    }
    Ok(())
}

type Due = (Challenge, User);

fn find_by_link(conn: &mut Conn, link: &PlainToken, now: UtcTime) -> store::Result<Result<Due>> {
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

/// The database is asked the same whatever is known of the address.
fn find_by_code(
    conn: &mut Conn,
    secrets: &Secrets,
    email: &Email,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<Option<Due>> {
    // One after the other also where there is no code whose row they would wait for.
    challenges::lock_address(conn, email)?;
    let user = users::find_by_email(conn, email)?.filter(|user| user.is_active);
    let owner = user.as_ref().map_or(UserId::NONE, |user| user.id);
    let challenge = challenges::find_newest(conn, owner, ChallengeKind::ResetPassword)?
        .filter(|it| it.used_at.is_none() && !it.has_expired(now));
    let is_right = check_code(conn, secrets, challenge.as_ref(), code, now)?;
    Ok(challenge.zip(user).filter(|_| is_right))
}

/// Returns the active account that a challenge is about, if it still has the address that the mail went to.
fn owner(conn: &mut Conn, challenge: &Challenge) -> store::Result<Option<User>> {
    let Some(id) = challenge.user_id else { return Ok(None) };
    let same = |user: &User| {
        user.email.as_ref().map(Email::normalised)
            == challenge.email.as_ref().map(Email::normalised)
    };
    Ok(users::lock_user(conn, id)?.filter(|user| user.is_active && same(user)))
}

/// Uses the challenge up. Of many who come at once one gets the account.
fn still_due(conn: &mut Conn, challenge: &Challenge, now: UtcTime) -> store::Result<Option<User>> {
    let owner = owner(conn, challenge)?;
    Ok(if challenges::consume_challenge(conn, &challenge.id, now)? { owner } else { None })
}

/// Returns the challenge of a mail that lets its owner choose a new password. The same mail, written again,
/// finds the same one; that of another mail counts no longer.
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
    let scene = EventContext::of(user.id, now);
    events::record(conn, &scene, EventKind::PasswordResetRequested, "")?;
    Ok(challenge)
}
