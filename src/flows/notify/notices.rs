//! Security notices: mails to a user about an event of the account, with a link that reports
//! unauthorized activity.

use crate::domain::{Challenge, ChallengeKind, Email, User, UtcTime};
use crate::flows::{Policy, Result};
use crate::store::outbox::{self, MailKind, NewMail};
use crate::store::{Conn, challenges};

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
    let challenge = Challenge {
        email: notice.reverts_to.cloned(),
        detail: notice.detail.to_owned(),
        ..Challenge::new(ChallengeKind::ReportUnauthorized, Some(user.id), now)
    };
    challenges::insert_notice(conn, user.id, &challenge)?;
    let mail = NewMail::new(notice.kind, to, &user.locale, challenge.id.as_str());
    let mail = NewMail { about: Some(user.id), ..mail };
    outbox::enqueue(conn, &mail, now)?;
    Ok(())
}
