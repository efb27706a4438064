//! What a mail says, decided when its turn comes. Only now are its one-time secrets made: the queue
//! holds none. They are derived from the mail's id, so a mail that has to be sent twice carries
//! the same ones.

use std::time::Duration;

use crate::domain::{
    Email, Language, OneTimeId, OneTimeToken, PlainToken, Registration, RegistrationId,
    RegistrationMode, TokenHash, User, UtcTime,
};
use crate::flows::account::register::order_proof;
use crate::flows::account::report_unauthorized::undo_of_unproven;
use crate::flows::notify::mail_requests::MailBudget;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::password::reset::reset_token;
use crate::flows::{Flows, Result};
use crate::mail::messages::{Message, TimedLink};
use crate::store::outbox::{self, MailKind, QueuedMail};
use crate::store::{Conn, one_time_tokens, registrations, users};

/// More registrations than this for one address are not worth a mail each.
const REGISTRATIONS_TO_REMIND: i64 = 3;

/// A mail is written a moment after the registration: "24 hours" reads better than what is left
/// of them.
const TO_THE_MINUTE: Duration = Duration::from_secs(59);

/// A mail that is due: what it says, and to whom in which language.
pub struct ComposedEmail {
    /// What it says.
    pub message: Message,
    /// In which language.
    pub language: Language,
    /// The address that it goes to. Where an account is written to this is the stored one: a
    /// request may spell it in another way, and there are servers that tell `Bob` from `bob`.
    pub recipient: Email,
}

impl Flows {
    /// The letter that an order is about; `None` when there is nothing to be sent (any more). A letter that
    /// anybody can order may have to wait ([`crate::flows::Error::RateLimited`]).
    pub fn compose_mail(&self, order: &QueuedMail) -> Result<Option<ComposedEmail>> {
        let now = self.now();
        match order.kind {
            MailKind::Registration => self.compose_registration(order, now),
            MailKind::RegistrationAgain => {
                let (order, budget) = (order.clone(), self.mail_budget(order));
                self.db
                    .write(move |conn| requeue_verification_emails(conn, &order, &budget, now))?;
                self.mail_ordered.notify_one();
                Ok(None)
            }
            MailKind::PasswordReset => self.compose_reset(order, now),
            MailKind::Invitation
            | MailKind::NewDevice
            | MailKind::PasswordChanged
            | MailKind::EmailChangeRequested
            | MailKind::EmailChanged
            | MailKind::UsernameChanged
            | MailKind::RefreshTokenReused => self.compose_with_token(order, now),
        }
    }

    fn compose_registration(
        &self,
        order: &QueuedMail,
        now: UtcTime,
    ) -> Result<Option<ComposedEmail>> {
        let secrets = MailSecrets {
            token: self.secrets.mail_token(order.id.as_str()),
            code: self.secrets.mail_code(order.id.as_str()),
        };
        let code_hash = self.secrets.code_hash(&order.subject_id, &secrets.code);
        let hashes = (secrets.token.hash(), code_hash);
        let (registered, order) = (order.recipient.clone(), order.clone());
        let mode = self.policy.registration.mode;
        let due = self.db.write(move |conn| due(conn, &order, &hashes, mode, now))?;
        Ok(due.map(|due| match due {
            Due::Verification(registration) => ComposedEmail {
                language: registration.locale.language(),
                message: self.verification(&registration, &secrets, now),
                recipient: registration.email,
            },
            Due::AlreadyRegistered(owner, reset) => ComposedEmail {
                language: owner.locale.language(),
                recipient: owner.email.unwrap_or(registered),
                message: Message::AlreadyRegistered {
                    reset: reset.map(|reset| TimedLink {
                        link: link(&self.policy.links.password_reset, &secrets.token),
                        lifetime: lifetime(reset.expires_at, now),
                    }),
                },
            },
        }))
    }

    fn compose_reset(&self, order: &QueuedMail, now: UtcTime) -> Result<Option<ComposedEmail>> {
        let secrets = MailSecrets {
            token: self.secrets.mail_token(order.id.as_str()),
            code: self.secrets.mail_code(order.id.as_str()),
        };
        let code_hash = self.secrets.code_hash(order.id.as_str(), &secrets.code);
        let link_hash = secrets.token.hash();
        let requested = order.recipient.clone();
        let (order, budget) = (order.clone(), self.mail_budget(order));
        let due = self.db.write(move |conn| {
            if outbox::is_superseded(conn, &order)? {
                return Ok(None);
            }
            let Some(user) = users::find_by_email(conn, &order.recipient)? else {
                // A registration has no password to reset before its address is verified.
                requeue_verification_emails(conn, &order, &budget, now)?;
                return Ok(None);
            };
            let Some(token) = reset_for(conn, &order, &user, now)? else {
                return Ok(None);
            };
            // What follows from "this was not me" is no stranger's request.
            if order.about.is_none() {
                budget.reserve_reset(conn, &order, now)?;
            }
            one_time_tokens::set_mail_secrets(conn, &token.id, &link_hash, Some(&code_hash))?;
            Ok::<_, crate::flows::Error>(Some((user, token)))
        })?;
        if due.is_none() {
            self.mail_ordered.notify_one();
        }
        Ok(due.map(|(user, token)| ComposedEmail {
            language: user.locale.language(),
            recipient: user.email.unwrap_or(requested),
            message: Message::ResetPassword {
                link: link(&self.policy.links.password_reset, &secrets.token),
                code: secrets.code.expose().to_owned(),
                lifetime: lifetime(token.expires_at, now),
            },
        }))
    }

    /// A mail whose one-time token was made together with its order.
    fn compose_with_token(
        &self,
        order: &QueuedMail,
        now: UtcTime,
    ) -> Result<Option<ComposedEmail>> {
        let token = self.secrets.mail_token(&order.subject_id);
        let (id, link_hash) = (OneTimeId(order.subject_id.clone()), token.hash());
        let stored = self.db.write(move |conn| {
            let stored = one_time_tokens::find_by_id(conn, &id)?.filter(|it| !it.has_expired(now));
            if stored.is_some() {
                one_time_tokens::set_mail_secrets(conn, &id, &link_hash, None)?;
            }
            Ok::<_, crate::flows::Error>(stored)
        })?;
        // The account is gone, or the token was used up by something that happened meanwhile.
        let Some(stored) = stored else { return Ok(None) };
        let message = self.message_with(order, stored, &token, now);
        let (language, recipient) = (order.locale.language(), order.recipient.clone());
        Ok(message.map(|message| ComposedEmail { message, language, recipient }))
    }

    fn message_with(
        &self,
        order: &QueuedMail,
        stored: OneTimeToken,
        token: &PlainToken,
        now: UtcTime,
    ) -> Option<Message> {
        let (at, detail) = (order.created_at, stored.detail);
        let not_me = TimedLink {
            link: link(&self.policy.links.not_me, token),
            lifetime: lifetime(stored.expires_at, now),
        };
        Some(match order.kind {
            MailKind::Invitation => Message::Invitation {
                link: link(&self.policy.links.password_reset, token),
                lifetime: lifetime(stored.expires_at, now),
            },
            MailKind::NewDevice => Message::NewDevice { at, device: detail, not_me },
            MailKind::PasswordChanged => Message::PasswordChanged { at, not_me },
            MailKind::EmailChangeRequested => {
                Message::EmailChangeRequested { at, new_email: detail, not_me }
            }
            MailKind::EmailChanged => Message::EmailChanged { at, new_email: detail, not_me },
            MailKind::UsernameChanged => {
                let (old, new) = detail.split_once(' ')?;
                let (old_username, new_username) = (old.to_owned(), new.to_owned());
                Message::UsernameChanged { at, old_username, new_username, not_me }
            }
            MailKind::RefreshTokenReused => Message::RefreshTokenReused { at, not_me },
            MailKind::Registration | MailKind::RegistrationAgain | MailKind::PasswordReset => {
                return None;
            }
        })
    }

    fn verification(
        &self,
        registration: &Registration,
        secrets: &MailSecrets,
        now: UtcTime,
    ) -> Message {
        let link = link(&self.policy.links.verify_email, &secrets.token);
        let code = secrets.code.expose().to_owned();
        let lifetime = lifetime(registration.expires_at, now);
        if registration.changes_email {
            Message::VerifyNewEmail { link, code, lifetime }
        } else {
            Message::VerifyEmail { link, code, lifetime }
        }
    }
}

/// What a mail hands out.
struct MailSecrets {
    token: PlainToken,
    code: PlainToken,
}

fn link(page: &str, token: &PlainToken) -> String {
    page.replace("{token}", token.expose())
}

fn lifetime(expires_at: UtcTime, now: UtcTime) -> Duration {
    expires_at.remaining(now) + TO_THE_MINUTE
}

/// What the mail of a registration turns out to be.
enum Due {
    Verification(Box<Registration>),
    AlreadyRegistered(Box<User>, Option<OneTimeToken>),
}

/// Finds out what is to be sent, and makes the secrets of this mail, `link` and `code`, the ones that count.
fn due(
    conn: &mut Conn,
    order: &QueuedMail,
    (link, code): &(TokenHash, TokenHash),
    mode: RegistrationMode,
    now: UtcTime,
) -> Result<Option<Due>> {
    // The secrets of the mail that is with the person must stay.
    if outbox::is_superseded(conn, order)? {
        return Ok(None);
    }
    let id = RegistrationId(order.subject_id.clone());
    let waiting = registrations::find_by_id(conn, &id)?
        .filter(|it| it.proven_at.is_none() && !it.has_expired(now));
    let Some(registration) = waiting else { return Ok(None) };
    // Only users whom staff invited may have an account then, and they have one already.
    let needs_invitation = mode != RegistrationMode::Open && registration.user_id.is_none();
    // An account that has not verified the address does not stand in the way of its owner.
    let owner = users::find_by_email(conn, &registration.email)?.filter(|owner| {
        (owner.email_verified || needs_invitation) && registration.user_id != Some(owner.id)
    });
    // A user who has an account is offered a new password, and nothing of what another user typed.
    if let Some(owner) = owner {
        let reset = reset_for(conn, order, &owner, now)?;
        if let Some(token) = &reset {
            one_time_tokens::set_mail_secrets(conn, &token.id, link, None)?;
        }
        // An attacker must not see that there is nothing to guess: tries that are over are not counted,
        // and what is not counted takes less time.
        registrations::renew_code_tries(conn, &id)?;
        return Ok(Some(Due::AlreadyRegistered(Box::new(owner), reset)));
    }
    if needs_invitation {
        registrations::renew_code_tries(conn, &id)?;
        return Ok(None);
    }
    registrations::set_mail_secrets(conn, &id, link, code)?;
    Ok(Some(Due::Verification(Box::new(registration))))
}

/// The right to choose a new password that goes out with this mail, if the account may have one.
fn reset_for(
    conn: &mut Conn,
    order: &QueuedMail,
    user: &User,
    now: UtcTime,
) -> Result<Option<OneTimeToken>> {
    // The account may have got another address while this waited for it: then the mail would hand the
    // account to whoever has the old one.
    let is_still_theirs = |user: &User| {
        user.email.as_ref().map(Email::normalised) == Some(order.recipient.normalised())
    };
    let Some(user) = lock_active(conn, user.id)?.filter(is_still_theirs) else { return Ok(None) };
    // As long as the owner can undo that, nobody gets the account by an address without proof.
    if undo_of_unproven(conn, &user, now)?.is_some() {
        return Ok(None);
    }
    Ok(Some(reset_token(conn, OneTimeId(order.id.0.clone()), &user, now)?))
}

/// Orders the mail of each registration that waits for the address. A user who has an account already
/// is told so once.
fn requeue_verification_emails(
    conn: &mut Conn,
    order: &QueuedMail,
    budget: &MailBudget,
    now: UtcTime,
) -> Result<()> {
    if !outbox::drop_order(conn, &order.id, now)? {
        return Ok(());
    }
    let owner = users::find_by_email(conn, &order.recipient)?;
    let is_known = owner.as_ref().is_some_and(|owner| owner.email_verified);
    let limit = if is_known { 1 } else { REGISTRATIONS_TO_REMIND };
    let mut waiting = registrations::find_waiting(conn, &order.recipient, limit, now)?;
    if let (Some(owner), true) = (owner, waiting.is_empty())
        && !owner.email_verified
    {
        // Verification `optional`: the account outlives its registration. The new one can be
        // proven with the link and the password.
        let renewed = renewed_registration(owner, &order.recipient, now);
        registrations::insert_registration(conn, &renewed, now)?;
        waiting.push(renewed);
    }
    for (index, registration) in waiting.iter().enumerate() {
        // The request itself was counted as one mail, unless it was for a reset.
        let is_counted = index == 0 && order.kind == MailKind::RegistrationAgain;
        if !is_counted && !budget.reserve_repeat(conn, &order.recipient, now)? {
            break;
        }
        order_proof(conn, registration, now)?;
    }
    Ok(())
}

fn renewed_registration(owner: User, email: &Email, now: UtcTime) -> Registration {
    Registration {
        id: RegistrationId::new(now),
        user_id: Some(owner.id),
        email: email.clone(),
        username: None,
        password_hash: owner.password_hash,
        locale: owner.locale,
        token_hash: PlainToken::random(PlainToken::REGISTRATION_PREFIX).hash(),
        code_hash: None,
        expires_at: now.after(Registration::LIFETIME),
        proven_at: None,
        changes_email: false,
    }
}
