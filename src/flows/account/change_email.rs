//! Changing the address of an account. The new one is proven like that of a registration
//! ([`crate::flows::account::verify_email`]); the old one is told, with a link that stops or undoes the change.

use crate::domain::{
    Challenge, ChallengeKind, Counted, Counter, Device, Email, EventKind, MailRequest,
    PlainPassword, PlainToken, Registration, User, UtcTime,
};
use crate::flows::account::register::order_proof;
use crate::flows::audit::scene;
use crate::flows::notify::notices::{Notice, order_notice};
use crate::flows::password::reauthenticate::lock_unchanged;
use crate::flows::{Claims, Error, Flows, PendingVerification, Policy, Result};
use crate::store::jobs::Schedule;
use crate::store::outbox::{self, MailKind};
use crate::store::{self, Conn, Unique, challenges, events, registrations, users};

impl Flows {
    /// Orders the proof of `email` for the holder's account. Whether another user has the address is
    /// found out when the mail is written, so the answer cannot tell. `password` may be missing right
    /// after a log-in.
    pub fn change_email(
        &self,
        claims: &Claims,
        email: Email,
        password: Option<&PlainPassword>,
        device: &Device,
    ) -> Result<PendingVerification> {
        let allowed = self.policy.registration.check_domain(&email);
        allowed.map_err(|fault| Error::invalid("new_email", fault))?;
        let id = claims.user_id();
        let addresses = vec![Counter::new(Counted::AddressesOfUser, id.to_string())];
        let mail = MailRequest::new(ChallengeKind::ChangeEmail, &email, device);
        self.count(addresses, || {
            self.request_mail(&mail, |send_at| {
                self.reauthenticated(claims, password, device, |user| {
                    self.ask_for_change(claims, &user, Change { email, send_at }, device)
                })
            })
        })
    }

    fn ask_for_change(
        &self,
        claims: &Claims,
        user: &User,
        Change { email, send_at }: Change,
        device: &Device,
    ) -> Result<PendingVerification> {
        let now = self.now();
        let mail = Schedule::new(now, send_at);
        let registration_token = PlainToken::random(PlainToken::REGISTRATION_PREFIX);
        let kind = ChallengeKind::ChangeEmail;
        let change = Registration {
            challenge: Challenge {
                email: Some(email.clone()),
                holder_hash: Some(registration_token.hash()),
                ..Challenge::new(kind, Some(user.id), now)
            },
            email,
            username: None,
            password_hash: user.password_hash.clone(),
            locale: user.locale.clone(),
        };
        let (id, user, policy, session) =
            (user.id, user.clone(), self.policy.clone(), claims.session_id());
        let scene = scene(claims, device, now);
        self.db.write(move |conn| {
            let user = lock_unchanged(conn, &user, &session)?;
            events::record(conn, &scene, EventKind::EmailChangeRequested, "")?;
            ask_for_proof(conn, &policy, &user, &change, mail, now)
        })?;
        tracing::info!(user_id = id.0, "change of address asked for");
        Ok(PendingVerification { registration_token, expires_in: kind.lifetime() })
    }
}

/// A wanted change.
struct Change {
    email: Email,
    /// The time that the mail to the new address is sent at.
    send_at: UtcTime,
}

fn ask_for_proof(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    change: &Registration,
    mail: Schedule,
    now: UtcTime,
) -> Result<()> {
    // The newest wish counts.
    challenges::delete_changes(conn, user.id)?;
    registrations::insert_registration(conn, change)?;
    order_proof(conn, change, mail)?;
    let notice = Notice {
        kind: MailKind::EmailChangeRequested,
        detail: change.email.as_str(),
        brings_back: proven_address(user),
    };
    order_notice(conn, policy, user, user.email.as_ref(), &notice, now)
}

/// The proof is there: the account has the new address. Mails that went to the old one let no user
/// choose a password any more.
pub(crate) fn take_address(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    email: &Email,
    now: UtcTime,
) -> Result<User> {
    let changed = users::change_email(conn, user, email, now).map_err(|error| match error {
        store::Error::Duplicate(Unique::Email | Unique::Username) => Error::OneTimeTokenInvalid,
        other => other.into(),
    })?;
    challenges::delete_of_kinds(conn, user.id, ChallengeKind::OF_PASSWORD)?;
    tell_old_address(conn, policy, user, &changed, now)?;
    Ok(changed)
}

/// The address that a notice may bring back. One that was never proven may be any user's.
fn proven_address(user: &User) -> Option<&Email> {
    user.email.as_ref().filter(|_| user.email_verified)
}

/// Tells the address that an account had that it has another one now.
pub(crate) fn tell_old_address(
    conn: &mut Conn,
    policy: &Policy,
    before: &User,
    after: &User,
    now: UtcTime,
) -> Result<()> {
    let old = before.email.as_ref();
    if old.map(Email::normalised) == after.email.as_ref().map(Email::normalised) {
        return Ok(());
    }
    if let Some(old) = old {
        outbox::claim(conn, before.id, old)?;
    }
    let notice = Notice {
        kind: MailKind::EmailChanged,
        detail: after.email_text(),
        brings_back: proven_address(before),
    };
    order_notice(conn, policy, before, old, &notice, now)
}
