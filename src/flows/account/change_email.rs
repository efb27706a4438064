//! Change of the e-mail address of an account. The new address is verified as in a registration
//! ([`crate::flows::account::verify_email`]). The old one receives a notice with a link that stops
//! or reverts the change.

use std::sync::Arc;

use crate::domain::{
    AddressVerification, ChallengeKind, Counted, Counter, Device, Email, EventKind, MailRequest,
    PlainPassword, PlainToken, User, Username, UtcTime,
};
use crate::flows::account::metadata::require_room_after_change;
use crate::flows::account::register::queue_verification_mail;
use crate::flows::audit::context_of;
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::password::reauthenticate::lock_unchanged;
use crate::flows::{Claims, Error, Flows, PendingVerification, Policy, Result};
use crate::store::jobs::Schedule;
use crate::store::outbox::{self, MailKind};
use crate::store::users::changes;
use crate::store::{self, Conn, Unique, challenges, challenges::verifications, events};

impl Flows {
    /// Requests the verification of `email` for the account of the caller. `password` may be
    /// missing right after a log-in. The mail worker finds out whether another account has the
    /// address, so the response does not reveal it.
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
        let change = AddressVerification {
            password_hash: user.password_hash.clone(),
            locale: user.locale.clone(),
            ..AddressVerification::new(kind, Some(user.id), email, &registration_token, now)
        };
        let (id, user, policy, session) =
            (user.id, user.clone(), Arc::clone(&self.policy), claims.session_id());
        let context = context_of(claims, device, now);
        let tokens = Arc::clone(self.access_tokens.settings());
        self.db.write(move |conn| {
            let user = lock_unchanged(conn, &user, &session)?;
            let changed = with_address(&user, &change.email);
            require_room_after_change(&tokens, Some(&user), &changed, "new_email", now)?;
            events::record(conn, &context, EventKind::EmailChangeRequested, "")?;
            // The latest request replaces earlier ones.
            challenges::delete_changes(conn, user.id)?;
            verifications::insert_verification(conn, &change)?;
            queue_verification_mail(conn, &change, mail)?;
            notify_of_request(conn, &policy, &user, &change.email, now)
        })?;
        tracing::info!(user_id = id.0, "change of the e-mail address requested");
        Ok(PendingVerification { registration_token, expires_in: kind.lifetime() })
    }
}

/// Returns the account as it is after the change.
fn with_address(user: &User, email: &Email) -> User {
    let is_named_by_address = user.email.as_ref().is_some_and(|own| user.username.is_address(own));
    let named = is_named_by_address.then(|| Username::of_address(email));
    let username = named.unwrap_or_else(|| user.username.clone());
    User { username, email: Some(email.clone()), ..user.clone() }
}

/// A requested change.
struct Change {
    email: Email,
    /// Time at which the mail to the new address is sent.
    send_at: UtcTime,
}

/// Notifies the present address of an account that a change to `email` was requested.
fn notify_of_request(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    email: &Email,
    now: UtcTime,
) -> Result<()> {
    let notice = Notice {
        kind: MailKind::EmailChangeRequested,
        detail: email.as_str(),
        reverts_to: verified_address(user),
    };
    queue_notice(conn, policy, user, &notice, now)
}

/// Stores the verified address. Password resets that were sent to the old address become invalid.
pub(crate) fn set_verified_address(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    email: &Email,
    now: UtcTime,
) -> Result<User> {
    let changed = changes::change_email(conn, user, email, now).map_err(|error| match error {
        store::Error::Duplicate(Unique::Email | Unique::Username) => Error::OneTimeTokenInvalid,
        other => other.into(),
    })?;
    challenges::delete_of_kinds(conn, user.id, ChallengeKind::OF_PASSWORD)?;
    notify_old_address(conn, policy, user, &changed, now)?;
    Ok(changed)
}

/// Returns the address that a notice may restore. An address that was never verified may belong to
/// another person.
fn verified_address(user: &User) -> Option<&Email> {
    user.email.as_ref().filter(|_| user.email_verified)
}

/// Notifies the former address of an account of the change.
pub(crate) fn notify_old_address(
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
        reverts_to: verified_address(before),
    };
    queue_notice(conn, policy, before, &notice, now)
}
