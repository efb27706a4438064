//! Further mails of the registrations that wait for the verification of an address.

use crate::domain::{AddressVerification, ChallengeKind, Email, PlainToken, User, UtcTime};
use crate::flows::Result;
use crate::flows::account::register::queue_verification_mail;
use crate::flows::admin::create_user::{is_invited, queue_invitation};
use crate::flows::notify::mail_requests::MailBudget;
use crate::store::outbox::{self, MailKind, QueuedMail};
use crate::store::{Conn, challenges::verifications, users};

/// Largest number of registrations of one address that get a mail of their own.
const REGISTRATIONS_TO_REMIND: i64 = 3;

/// Queues the mail of each pending registration of the address. An existing user gets one mail in
/// total.
pub(super) fn requeue_verification_emails(
    conn: &mut Conn,
    order: &QueuedMail,
    budget: &MailBudget,
    now: UtcTime,
) -> Result<()> {
    if !outbox::drop_mail(conn, &order.job.id, now)? {
        return Ok(());
    }
    let owner = users::find_by_email(conn, &order.recipient)?;
    let is_known = owner.as_ref().is_some_and(|owner| owner.email_verified);
    let limit = if is_known { 1 } else { REGISTRATIONS_TO_REMIND };
    let mut waiting = verifications::find_pending(conn, &order.recipient, limit, now)?;
    if let (Some(owner), true) = (owner, waiting.is_empty())
        && !owner.email_verified
    {
        // The link of a verification needs a password, and the user has none yet.
        if is_invited(conn, &owner)? {
            return queue_invitation(conn, &owner, now);
        }
        // Verification `optional`: the account outlives its registration. The new one is verified
        // with the link and the password.
        let renewed = renewed_verification(owner, &order.recipient, now);
        verifications::insert_verification(conn, &renewed)?;
        waiting.push(renewed);
    }
    for (index, registration) in waiting.iter().enumerate() {
        // The request itself was counted as one mail of its class, with a share for each network.
        if index == 0 {
            if order.kind == MailKind::PasswordReset {
                budget.reserve_reset(conn, order, now)?;
            }
        } else if !budget.reserve_further(conn, &order.recipient, now)? {
            break;
        }
        queue_verification_mail(conn, registration, now)?;
    }
    Ok(())
}

fn renewed_verification(owner: User, email: &Email, now: UtcTime) -> AddressVerification {
    // No client has this token: the challenge is answered with its link and the password.
    let holder = PlainToken::random(PlainToken::REGISTRATION_PREFIX);
    let kind = ChallengeKind::VerifyEmail;
    AddressVerification {
        password_hash: owner.password_hash,
        locale: owner.locale,
        ..AddressVerification::new(kind, Some(owner.id), email.clone(), &holder, now)
    }
}
