//! What a mail says, decided when its turn comes. Only now are its one-time secrets made: the queue
//! holds none. They are derived from the mail's id, so a mail that has to be sent twice carries
//! the same ones.

use std::time::Duration;

use super::{Error, Flows, Result};
use crate::domain::{Email, Locale, PlainToken, Registration, RegistrationId, UtcTime};
use crate::mail::messages::Message;
use crate::store::outbox::{self, MailKind, QueuedMail};
use crate::store::{Conn, registrations, users};

/// More registrations than this for one address are not worth a mail each.
const REGISTRATIONS_TO_REMIND: i64 = 3;

/// A mail is written a moment after the registration: "24 hours" reads better than what is left
/// of them.
const TO_THE_MINUTE: Duration = Duration::from_secs(59);

impl Flows {
    /// The text of a mail that is due; `None` when it is no longer needed.
    pub fn compose_mail(&self, mail: &QueuedMail) -> Result<Option<Message>> {
        let now = self.now();
        match mail.kind {
            MailKind::Registration => self.compose_registration(mail, now),
            MailKind::RegistrationAgain => {
                let (email, locale) = (mail.recipient.clone(), mail.locale.clone());
                self.db.write(move |conn| remind(conn, &email, &locale, now))?;
                self.mail_ordered.notify_one();
                Ok(None)
            }
            MailKind::RefreshTokenReused => {
                Ok(Some(Message::RefreshTokenReused { at: mail.created_at }))
            }
        }
    }

    fn compose_registration(&self, mail: &QueuedMail, now: UtcTime) -> Result<Option<Message>> {
        let id = RegistrationId(mail.subject_id.clone());
        let token = self.secrets.mail_token(mail.id.as_str());
        let code = self.secrets.mail_code(mail.id.as_str());
        let link_hash = token.hash();
        let code_hash = self.secrets.code_hash(id.as_str(), &code);
        let owner = self.db.read(|conn| users::find_by_email(conn, &mail.recipient))?;
        let registration = self.db.write(move |conn| {
            let registration = registrations::find_by_id(conn, &id)?
                .filter(|it| it.proven_at.is_none() && !it.has_expired(now));
            // The mail to somebody who has an account carries nothing that opens a door.
            let for_this_person =
                |it: &Registration| owner.as_ref().is_none_or(|owner| it.user_id == Some(owner.id));
            let proves = match &registration {
                Some(it) if for_this_person(it) => {
                    registrations::set_mail_secrets(conn, &it.id, &link_hash, &code_hash)?
                }
                _ => false,
            };
            Ok::<_, Error>(registration.map(|it| (it, proves)))
        })?;
        Ok(registration.map(|(registration, proves)| {
            if proves {
                self.verification(&registration, &token, &code, now)
            } else {
                already_registered()
            }
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

fn already_registered() -> Message {
    Message::AlreadyRegistered { link: None }
}

/// Orders the mail of each registration that waits for `email`. Whoever has an account already is
/// told so once.
fn remind(conn: &mut Conn, email: &Email, locale: &Locale, now: UtcTime) -> Result<()> {
    let known = users::find_by_email(conn, email)?.is_some_and(|user| user.email_verified);
    let limit = if known { 1 } else { REGISTRATIONS_TO_REMIND };
    for waiting in registrations::find_waiting(conn, email, limit, now)? {
        let subject = waiting.id.as_str();
        outbox::enqueue(conn, MailKind::Registration, &waiting.email, locale, subject, now)?;
    }
    Ok(())
}
