//! Security notices: mails to a user about an event of the account, with a link that reports
//! unauthorized activity.

use std::time::Duration;

use crate::domain::{Challenge, ChallengeKind, Email, JobId, User, UserId, UtcTime};
use crate::flows::{LimitReports, Policy, Result};
use crate::store::outbox::{self, MailKind, NewMail};
use crate::store::{Conn, challenges};

/// Largest number of notices of one kind to one user in [`SPAN`], counted from the last change of
/// the password. It bounds those that a client with the password can cause at will; the links of
/// the first ones undo what comes later.
const NOTICES: i64 = 10;
/// Largest number of them in [`SPAN`], also if the password was changed meanwhile.
const NOTICES_IN_ALL: i64 = 30;
const SPAN: Duration = Duration::from_hours(24);

/// A security notice.
pub(crate) struct Notice<'a> {
    pub(crate) kind: MailKind,
    /// Detail of the event: a device or a new address.
    pub(crate) detail: &'a str,
    /// The e-mail address that the link restores, if the notice is about its change.
    pub(crate) reverts_to: Option<&'a Email>,
}

/// Queues a notice to the address of `user`, unless notices are disabled or the address cannot
/// receive mail. The account is locked.
pub(crate) fn queue_notice(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    notice: &Notice<'_>,
    now: UtcTime,
) -> Result<()> {
    // An address that was never verified may belong to another person. A changed user name is told
    // there too, without a link: an account of staff or an import has no other address.
    let may_be_told = user.email_verified || notice.kind == MailKind::UsernameChanged;
    let is_wanted = policy.security_notices && may_be_told;
    let to = user.email.as_ref().filter(|to| is_wanted && to.is_deliverable());
    let Some(to) = to else { return Ok(()) };
    if are_exhausted(conn, policy, user.id, notice.kind, now)? {
        return Ok(());
    }
    let challenge = Challenge {
        email: notice.reverts_to.cloned(),
        detail: notice.detail.to_owned(),
        ..Challenge::new(ChallengeKind::ReportUnauthorized, Some(user.id), now)
    };
    challenges::notices::insert_notice(conn, user.id, &challenge)?;
    let mail = NewMail::new(notice.kind, to, &user.locale, challenge.id.as_str());
    let mail = NewMail { about: Some(user.id), ..mail };
    outbox::enqueue(conn, &mail, now)?;
    Ok(())
}

/// Returns whether the user got so many notices of a kind that no further one is sent.
fn are_exhausted(
    conn: &mut Conn,
    policy: &Policy,
    user: UserId,
    kind: MailKind,
    now: UtcTime,
) -> Result<bool> {
    let is_bounded = matches!(
        kind,
        MailKind::NewDevice
            | MailKind::RefreshTokenReused
            | MailKind::IdentityLinked
            | MailKind::IdentityUnlinked
    );
    let is_enforced = policy.limits.is_some() && policy.limit_reports == LimitReports::Never;
    if !is_bounded || !is_enforced {
        return Ok(false);
    }
    let day = JobId::first_at(now.before(SPAN));
    // A user who recovered the account with another password is told of the next theft.
    let changed = outbox::find_last(conn, user, MailKind::PasswordChanged, &day)?;
    let since = changed.as_ref().unwrap_or(&day);
    Ok(outbox::are_queued_since(conn, user, kind, since, NOTICES)?
        || outbox::are_queued_since(conn, user, kind, &day, NOTICES_IN_ALL)?)
}
