//! Content of a mail, composed when it is sent. Its one-time secrets are derived from the id of the
//! mail at that time: the queue holds none, and a retry carries the same ones.

use std::time::Duration;

use crate::domain::{
    AddressVerification, Challenge, ChallengeId, ChallengeKind, Email, Language, PlainToken,
    RegistrationMode, TokenHash, User, UtcTime,
};
use crate::flows::account::report_unauthorized::find_revertible_change;
use crate::flows::admin::create_user::is_invited;
use crate::flows::notify::requeue::requeue_verification_emails;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::password::reset::reset_challenge;
use crate::flows::{Flows, Result};
use crate::mail::messages::{Message, TimedLink};
use crate::store::jobs::lease;
use crate::store::outbox::{self, MailKind, QueuedMail};
use crate::store::{Conn, WriteKind, challenges, challenges::verifications, users};

/// Added to a lifetime, so that "24 hours" is shown moments after the registration.
const TO_THE_MINUTE: Duration = Duration::from_secs(59);

/// A mail to send.
pub struct ComposedEmail {
    /// Its content.
    pub message: Message,
    /// The language.
    pub language: Language,
    /// The recipient. For an account this is the stored address: the spelling in the request may
    /// differ, and some servers distinguish `Bob` from `bob`.
    pub recipient: Email,
}

impl Flows {
    /// Composes the mail of an outbox row; `None` if it is no longer needed. A mail that an
    /// anonymous client requested may have to wait ([`crate::flows::Error::RateLimited`]).
    pub fn compose_mail(&self, order: &QueuedMail) -> Result<Option<ComposedEmail>> {
        let now = self.now();
        match order.kind {
            MailKind::Registration => self.compose_registration(order, now),
            MailKind::RegistrationAgain => {
                let (again, budget) = (order.clone(), self.mail_budget(order));
                self.write_leased(WriteKind::Durable, order, move |conn| {
                    requeue_verification_emails(conn, &again, &budget, now)?;
                    Ok(None)
                })
            }
            MailKind::PasswordReset => self.compose_reset(order, now),
            MailKind::Invitation
            | MailKind::NewDevice
            | MailKind::PasswordChanged
            | MailKind::EmailChangeRequested
            | MailKind::EmailChanged
            | MailKind::UsernameChanged
            | MailKind::RefreshTokenReused
            | MailKind::IdentityLinked
            | MailKind::IdentityUnlinked => self.compose_with_challenge(order, now),
        }
    }

    /// Runs `work` in the first transaction of an attempt to send a mail. `None` if the mail is no
    /// longer ours to send.
    fn write_leased<T: Send + 'static>(
        &self,
        kind: WriteKind,
        order: &QueuedMail,
        work: impl FnOnce(&mut Conn) -> Result<Option<T>> + Clone + Send + 'static,
    ) -> Result<Option<T>> {
        let (id, lease) = (order.job.id.clone(), order.job.lease.clone());
        self.db.write_as(kind, move |conn| {
            if lease::confirm(conn, &id, &lease)? { work(conn) } else { Ok(None) }
        })
    }

    fn mail_secrets(&self, order: &QueuedMail) -> MailSecrets {
        let id = order.job.id.as_str();
        MailSecrets { token: self.secrets.mail_token(id), code: self.secrets.mail_code(id) }
    }

    fn compose_registration(
        &self,
        order: &QueuedMail,
        now: UtcTime,
    ) -> Result<Option<ComposedEmail>> {
        let secrets = self.mail_secrets(order);
        let code_hash = self.secrets.code_hash(&order.job.subject_id, &secrets.code);
        let hashes = (secrets.token.hash(), code_hash);
        let (registered, mail) = (order.recipient.clone(), order.clone());
        let mode = self.policy.registration.mode;
        let due = self.write_leased(WriteKind::Provisional, order, move |conn| {
            choose_registration_mail(conn, &mail, &hashes, mode, now)
        })?;
        Ok(due.map(|due| match due {
            RegistrationMail::Verification(registration) => ComposedEmail {
                language: registration.locale.language(),
                message: self.verification(&registration, &secrets, now),
                recipient: registration.email,
            },
            RegistrationMail::Invitation(invited, reset) => ComposedEmail {
                language: invited.locale.language(),
                recipient: invited.email.unwrap_or(registered),
                message: Message::Invitation {
                    link: link(&self.policy.links.password_reset, &secrets.token),
                    lifetime: lifetime(reset.expires_at, now),
                },
            },
            RegistrationMail::AlreadyRegistered(owner, reset) => ComposedEmail {
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
        let secrets = self.mail_secrets(order);
        let code_hash = self.secrets.code_hash(order.job.id.as_str(), &secrets.code);
        let link_hash = secrets.token.hash();
        let requested = order.recipient.clone();
        let (mail, budget) = (order.clone(), self.mail_budget(order));
        let due = self.write_leased(WriteKind::Provisional, order, move |conn| {
            if outbox::is_superseded(conn, &mail)? {
                return Ok(None);
            }
            let Some(user) = users::find_by_email(conn, &mail.recipient)? else {
                // A registration has no password to reset before its address is verified.
                requeue_verification_emails(conn, &mail, &budget, now)?;
                return Ok(None);
            };
            let Some(challenge) = reset_for(conn, &mail, &user, now)? else {
                return Ok(None);
            };
            // A report of unauthorized activity resets the password too, and is not subject to the
            // limits of anonymous requests.
            if mail.job.about.is_none() {
                budget.reserve_reset(conn, &mail, now)?;
            }
            challenges::set_mail_secrets(conn, &challenge.id, &link_hash, Some(&code_hash))?;
            Ok(Some((user, challenge)))
        })?;
        Ok(due.map(|(user, challenge)| ComposedEmail {
            language: user.locale.language(),
            recipient: user.email.unwrap_or(requested),
            message: Message::ResetPassword {
                link: link(&self.policy.links.password_reset, &secrets.token),
                code: secrets.code.expose().to_owned(),
                lifetime: lifetime(challenge.expires_at, now),
            },
        }))
    }

    /// Composes a mail whose challenge was inserted together with the outbox row.
    fn compose_with_challenge(
        &self,
        order: &QueuedMail,
        now: UtcTime,
    ) -> Result<Option<ComposedEmail>> {
        let token = self.secrets.mail_token(&order.job.subject_id);
        let (id, link_hash) = (ChallengeId(order.job.subject_id.clone()), token.hash());
        let (kind, address) = (order.kind, order.recipient.clone());
        let stored = self.write_leased(WriteKind::Provisional, order, move |conn| {
            let stored = challenges::find_by_id(conn, &id)?.filter(|it| !it.has_expired(now));
            let Some(stored) = stored else { return Ok(None) };
            // This notice also goes to an unverified address, which may belong to another person:
            // without a link that ends the sessions of the account.
            let has_link =
                kind != MailKind::UsernameChanged || has_verified(conn, &stored, &address)?;
            if has_link {
                challenges::set_mail_secrets(conn, &id, &link_hash, None)?;
            }
            Ok(Some((stored, has_link)))
        })?;
        // The account or the challenge was deleted meanwhile.
        let Some((stored, has_link)) = stored else { return Ok(None) };
        let token = Some(&token).filter(|_| has_link);
        let message = self.message_with(order, stored, token, now);
        let (language, recipient) = (order.locale.language(), order.recipient.clone());
        Ok(message.map(|message| ComposedEmail { message, language, recipient }))
    }

    fn message_with(
        &self,
        order: &QueuedMail,
        stored: Challenge,
        token: Option<&PlainToken>,
        now: UtcTime,
    ) -> Option<Message> {
        let (at, detail) = (order.job.created_at, stored.detail);
        let not_me = token.map(|token| TimedLink {
            link: link(&self.policy.links.not_me, token),
            lifetime: lifetime(stored.expires_at, now),
        });
        if order.kind == MailKind::UsernameChanged {
            let (old, new) = detail.split_once(' ')?;
            let (old_username, new_username) = (old.to_owned(), new.to_owned());
            return Some(Message::UsernameChanged { at, old_username, new_username, not_me });
        }
        let (token, not_me) = (token?, not_me?);
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
            MailKind::RefreshTokenReused => Message::RefreshTokenReused { at, not_me },
            MailKind::IdentityLinked => Message::IdentityLinked { at, provider: detail, not_me },
            MailKind::IdentityUnlinked => {
                Message::IdentityUnlinked { at, provider: detail, not_me }
            }
            MailKind::Registration
            | MailKind::RegistrationAgain
            | MailKind::PasswordReset
            | MailKind::UsernameChanged => return None,
        })
    }

    fn verification(
        &self,
        registration: &AddressVerification,
        secrets: &MailSecrets,
        now: UtcTime,
    ) -> Message {
        let link = link(&self.policy.links.verify_email, &secrets.token);
        let code = secrets.code.expose().to_owned();
        let lifetime = lifetime(registration.challenge.expires_at, now);
        if registration.challenge.kind == ChallengeKind::ChangeEmail {
            Message::VerifyNewEmail { link, code, lifetime }
        } else {
            Message::VerifyEmail { link, code, lifetime }
        }
    }
}

/// Returns whether the account of `challenge` has verified `address`.
fn has_verified(
    conn: &mut Conn,
    challenge: &Challenge,
    address: &Email,
) -> crate::store::Result<bool> {
    let Some(id) = challenge.user_id else { return Ok(false) };
    let user = users::find_by_id(conn, id)?;
    Ok(user.is_some_and(|user| user.email_verified && user.has_email(address)))
}

/// One-time secrets of a mail.
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

/// Decision about the mail of a registration.
enum RegistrationMail {
    Verification(Box<AddressVerification>),
    /// For a user who was invited and has not accepted yet.
    Invitation(Box<User>, Challenge),
    AlreadyRegistered(Box<User>, Option<Challenge>),
}

/// Decides what to send for a registration, and makes `link` and `code` of this mail the valid
/// ones.
fn choose_registration_mail(
    conn: &mut Conn,
    order: &QueuedMail,
    (link, code): &(TokenHash, TokenHash),
    mode: RegistrationMode,
    now: UtcTime,
) -> Result<Option<RegistrationMail>> {
    // A later mail was sent already, and its secrets must stay valid.
    if outbox::is_superseded(conn, order)? {
        return Ok(None);
    }
    let id = ChallengeId(order.job.subject_id.clone());
    let pending = verifications::find_by_id(conn, &id)?
        .filter(|it| it.challenge.used_at.is_none() && !it.challenge.has_expired(now));
    let Some(registration) = pending else { return Ok(None) };
    // Registration is by invitation, and invited users already have an account.
    let needs_invitation =
        mode != RegistrationMode::Open && registration.challenge.user_id.is_none();
    // An account that has not verified the address must not block its owner.
    let owner = users::find_by_email(conn, &registration.email)?.filter(|owner| {
        (owner.email_verified || needs_invitation)
            && registration.challenge.user_id != Some(owner.id)
    });
    // A user who has an account is offered a password reset, and sees nothing of the registration.
    if let Some(owner) = owner {
        let reset = reset_for(conn, order, &owner, now)?;
        if let Some(challenge) = &reset {
            challenges::set_mail_secrets(conn, &challenge.id, link, None)?;
        }
        // Resets the attempt counter here too: an exhausted counter skips a write and so answers
        // faster, which would reveal an existing account.
        challenges::renew_code_tries(conn, &id)?;
        let owner = Box::new(owner);
        return Ok(Some(match reset {
            Some(reset) if is_invited(conn, &owner)? => RegistrationMail::Invitation(owner, reset),
            reset => RegistrationMail::AlreadyRegistered(owner, reset),
        }));
    }
    if needs_invitation {
        challenges::renew_code_tries(conn, &id)?;
        return Ok(None);
    }
    challenges::set_mail_secrets(conn, &id, link, Some(code))?;
    Ok(Some(RegistrationMail::Verification(Box::new(registration))))
}

/// Returns the challenge of a password reset for this mail, if the account may have one.
fn reset_for(
    conn: &mut Conn,
    order: &QueuedMail,
    user: &User,
    now: UtcTime,
) -> Result<Option<Challenge>> {
    // The address of the account may have changed while this mail waited. The mail would let the
    // holder of the old address take over the account.
    let user = lock_active(conn, user.id)?.filter(|user| user.has_email(&order.recipient));
    let Some(user) = user else { return Ok(None) };
    // An unverified address gives no access to the account while its owner can revert it.
    if find_revertible_change(conn, &user, now)?.is_some() {
        return Ok(None);
    }
    Ok(Some(reset_challenge(conn, ChallengeId(order.job.id.0.clone()), &user, now)?))
}
