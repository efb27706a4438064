//! What a mail says, decided when its turn comes. Only now are its one-time secrets made: the queue
//! holds none. They are derived from the mail's id, so a mail that has to be sent twice carries
//! the same ones.

use std::time::Duration;

use super::{Flows, Result};
use crate::domain::{
    Email, Language, PlainToken, Registration, RegistrationId, TokenHash, User, UtcTime,
};
use crate::mail::messages::Message;
use crate::store::outbox::{self, MailKind, QueuedMail};
use crate::store::{Conn, registrations, users};

/// More registrations than this for one address are not worth a mail each.
const REGISTRATIONS_TO_REMIND: i64 = 3;

/// A mail is written a moment after the registration: "24 hours" reads better than what is left
/// of them.
const TO_THE_MINUTE: Duration = Duration::from_secs(59);

/// A mail that is due: what it says, and to whom in which language.
pub struct Letter {
    /// What it says.
    pub message: Message,
    /// In which language.
    pub language: Language,
}

impl Flows {
    /// The letter that an order is about; `None` when there is nothing to be sent (any more).
    pub fn compose_mail(&self, order: &QueuedMail) -> Result<Option<Letter>> {
        let now = self.now();
        match order.kind {
            MailKind::Registration => self.compose_registration(order, now),
            MailKind::RegistrationAgain => {
                let order = order.clone();
                self.db.write(move |conn| remind(conn, &order, now))?;
                self.mail_ordered.notify_one();
                Ok(None)
            }
            MailKind::RefreshTokenReused => {
                let message = Message::RefreshTokenReused { at: order.created_at, not_me: None };
                Ok(Some(Letter { message, language: order.locale.language() }))
            }
        }
    }

    fn compose_registration(&self, order: &QueuedMail, now: UtcTime) -> Result<Option<Letter>> {
        let token = self.secrets.mail_token(order.id.as_str());
        let code = self.secrets.mail_code(order.id.as_str());
        let link_hash = token.hash();
        let code_hash = self.secrets.code_hash(&order.subject_id, &code);
        let order = order.clone();
        let due = self.db.write(move |conn| due(conn, &order, &link_hash, &code_hash, now))?;
        Ok(due.map(|due| match due {
            Due::Verification(registration) => Letter {
                language: registration.locale.language(),
                message: self.verification(&registration, &token, &code, now),
            },
            Due::AlreadyRegistered(owner) => Letter {
                language: owner.locale.language(),
                message: Message::AlreadyRegistered { reset: None },
            },
        }))
    }

    fn verification(
        &self,
        registration: &Registration,
        token: &PlainToken,
        code: &PlainToken,
        now: UtcTime,
    ) -> Message {
        Message::VerifyEmail {
            link: self.policy.verify_email_link.replace("{token}", token.expose()),
            code: code.expose().to_owned(),
            lifetime: registration.expires_at.remaining(now) + TO_THE_MINUTE,
        }
    }
}

/// What the mail of a registration turns out to be.
enum Due {
    Verification(Box<Registration>),
    AlreadyRegistered(Box<User>),
}

/// Finds out what is to be sent, and makes the secrets of this mail the ones that count.
fn due(
    conn: &mut Conn,
    order: &QueuedMail,
    link: &TokenHash,
    code: &TokenHash,
    now: UtcTime,
) -> Result<Option<Due>> {
    // The secrets of the mail that is with the person must stay.
    if outbox::is_outdone(conn, order)? {
        return Ok(None);
    }
    let id = RegistrationId(order.subject_id.clone());
    let waiting = registrations::find_by_id(conn, &id)?
        .filter(|it| it.proven_at.is_none() && !it.has_expired(now));
    let Some(registration) = waiting else { return Ok(None) };
    // The mail to somebody who has an account carries nothing that opens a door.
    match users::find_by_email(conn, &registration.email)? {
        Some(owner) if registration.user_id != Some(owner.id) => {
            Ok(Some(Due::AlreadyRegistered(Box::new(owner))))
        }
        _ => {
            registrations::set_mail_secrets(conn, &id, link, code)?;
            Ok(Some(Due::Verification(Box::new(registration))))
        }
    }
}

/// Orders the mail of each registration that waits for the address. Whoever has an account already
/// is told so once.
fn remind(conn: &mut Conn, order: &QueuedMail, now: UtcTime) -> Result<()> {
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
    for Registration { id, email, locale, .. } in &waiting {
        outbox::enqueue(conn, MailKind::Registration, email, locale, id.as_str(), now)?;
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
    }
}
