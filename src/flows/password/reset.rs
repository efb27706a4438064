//! Choosing a new password with what a mail carries: link or code. Whether the address is known is
//! found out when the mail is written, so asking tells nothing.

use crate::domain::token::Secrets;
use crate::domain::{
    Counted, Counter, Device, Email, EndReason, EventContext, EventKind, Locale, MailClass,
    MailRequest, OneTimeId, OneTimeToken, PlainPassword, PlainToken, Purpose, TokenHash, User,
    UserId, UtcTime,
};
use crate::flows::account::release_username::release_username;
use crate::flows::limits::{account_of, requester, reserve, reset_failed_logins};
use crate::flows::password::change::replace;
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::{self, Conn, events, one_time_tokens, registrations, users};

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
        let mail = MailRequest::new(MailClass::Reset, &email, device);
        self.request_reset(&mail, || {
            self.db.write(move |conn| {
                let subject = email.normalised();
                outbox::enqueue(conn, MailKind::PasswordReset, &email, &locale, subject, None, now)
                    .map_err(Error::from)
            })
        })?;
        self.mail_ordered.notify_one();
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
        let now = self.now();
        let refusal: fn() -> Error = match &proof {
            ResetProof::Link(_) => || Error::OneTimeTokenInvalid,
            ResetProof::Code { .. } => || Error::CodeInvalid,
        };
        let (secrets, bounds) = (self.secrets.clone(), self.bounds());
        let proofs = Counter::new(Counted::ProofsOfNetwork, &device.network);
        // A wrong code must be counted, so the refusal is not an error of the transaction. The use of the
        // limit is part of it: whatever is known of the address, one transaction that writes is waited for.
        let (token, user) = self.db.write(move |conn| {
            if let Some(bounds) = &bounds {
                reserve(conn, &secrets, bounds, vec![proofs], now)?;
            }
            Ok::<_, Error>(match proof {
                ResetProof::Link(link) => find_by_link(conn, &link, now)?,
                ResetProof::Code { email, code } => {
                    find_by_code(conn, &secrets, &email, &code, now)?.ok_or(Error::CodeInvalid)
                }
            })
        })??;
        self.check_password_of(&user, new)?;
        self.refuse_breached("new_password", new)?;
        let hash = self.hasher.hash(requester(account_of(user.id), device), new)?;
        let (id, policy, secrets) = (user.id, self.policy.clone(), self.secrets.clone());
        let (scene, place) = (EventContext::of(id, now).on(device), device.clone());
        let ended = self.db.write(move |conn| {
            let user = still_due(conn, &token, now)?.ok_or_else(refusal)?;
            let how = if token.purpose == Purpose::Invitation { "invitation" } else { "" };
            events::record(conn, &scene, EventKind::PasswordReset, how)?;
            let ended = replace(conn, &policy, &user, &hash, None, EndReason::PasswordReset, now)?;
            // What came with a mail to the address proves it.
            if let Some(email) = &user.email {
                release_username(conn, &policy, email, Some(user.id), now)?;
                users::mark_email_verified(conn, user.id, email, now)?;
                if !user.email_verified {
                    events::record(conn, &scene, EventKind::EmailVerified, "")?;
                }
            }
            reset_failed_logins(conn, &secrets, &user, &place)?;
            ended.ok_or_else(|| Error::Internal("a locked account changed".to_owned()))
        })?;
        self.note_ended(id, ended, EndReason::PasswordReset, now);
        self.learn_renewed_rights();
        self.mail_ordered.notify_one();
        tracing::info!(user_id = id.0, "password reset");
        Ok(())
    }
}

type Due = (OneTimeToken, User);

fn find_by_link(conn: &mut Conn, link: &PlainToken, now: UtcTime) -> store::Result<Result<Due>> {
    let found = one_time_tokens::find_by_link(conn, &link.hash())?
        .filter(|token| matches!(token.purpose, Purpose::ResetPassword | Purpose::Invitation));
    let Some(token) = found.filter(|token| token.used_at.is_none()) else {
        return Ok(Err(Error::OneTimeTokenInvalid));
    };
    if token.has_expired(now) {
        return Ok(Err(Error::OneTimeTokenExpired));
    }
    let owner = owner(conn, &token)?;
    Ok(owner.map(|user| (token, user)).ok_or(Error::OneTimeTokenInvalid))
}

/// Takes a try, compares, and gives the try back if the code is right: guesses that come in
/// parallel are counted like those that come one after the other. The database is asked the same whatever is
/// known of the address, but only where there is a code it has something to write, and that takes longer: so a
/// refusal must not be answered at once.
fn find_by_code(
    conn: &mut Conn,
    secrets: &Secrets,
    email: &Email,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<Option<Due>> {
    // One after the other also where there is no code whose row they would wait for.
    registrations::lock_address(conn, email)?;
    let user = users::find_by_email(conn, email)?.filter(|user| user.is_active);
    let owner = user.as_ref().map_or(UserId::NONE, |user| user.id);
    let token = one_time_tokens::find_newest(conn, owner, Purpose::ResetPassword)?
        .filter(|token| token.used_at.is_none() && !token.has_expired(now));
    let id = token.as_ref().map_or_else(|| OneTimeId::new(now), |token| token.id.clone());
    let (tries, in_all) = (OneTimeToken::CODE_TRIES, OneTimeToken::WRONG_CODES);
    let has_tries = one_time_tokens::reserve_code_try(conn, &id, tries, in_all)?;
    let is_code = |stored: &TokenHash| secrets.is_code(id.as_str(), code, stored);
    let is_right =
        |token: &OneTimeToken| has_tries && token.code_hash.as_ref().is_some_and(is_code);
    match (user, token) {
        (Some(user), Some(token)) if is_right(&token) => {
            one_time_tokens::return_code_try(conn, &id)?;
            Ok(Some((token, user)))
        }
        _ => Ok(None),
    }
}

/// The active account that a token is about, if it still has the address that the mail went to.
fn owner(conn: &mut Conn, token: &OneTimeToken) -> store::Result<Option<User>> {
    let user = users::lock_user(conn, token.user_id)?;
    let same = |user: &User| {
        user.email.as_ref().map(Email::normalised) == token.email.as_ref().map(Email::normalised)
    };
    Ok(user.filter(|user| user.is_active && same(user)))
}

/// Uses the token up. Of many who come at once one gets the account.
fn still_due(conn: &mut Conn, token: &OneTimeToken, now: UtcTime) -> store::Result<Option<User>> {
    let owner = owner(conn, token)?;
    Ok(if one_time_tokens::consume_token(conn, &token.id, now)? { owner } else { None })
}

/// The token of a mail that lets its owner choose a new password. The same mail, written again, finds
/// the same token; another mail's counts no longer.
pub(crate) fn reset_token(
    conn: &mut Conn,
    id: OneTimeId,
    user: &User,
    now: UtcTime,
) -> store::Result<OneTimeToken> {
    if let Some(token) = one_time_tokens::find_by_id(conn, &id)? {
        return Ok(token);
    }
    let purpose = Purpose::ResetPassword;
    let remember_from = now.before(OneTimeToken::MEMORY);
    let wrong_codes = one_time_tokens::supersede(conn, user.id, purpose, remember_from)?;
    let token = OneTimeToken {
        id,
        user_id: user.id,
        purpose,
        email: user.email.clone(),
        detail: String::new(),
        code_hash: None,
        created_at: now,
        expires_at: now.after(purpose.lifetime()),
        used_at: None,
    };
    one_time_tokens::insert_token(conn, &token, wrong_codes)?;
    let scene = EventContext::of(user.id, now);
    events::record(conn, &scene, EventKind::PasswordResetRequested, "")?;
    Ok(token)
}
