//! Security notices: what happened to an account, told to its owner with a link that says "this was
//! not me".

use crate::domain::{Challenge, ChallengeKind, Email, User, UtcTime};
use crate::flows::{Policy, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::{Conn, challenges};

/// What a notice is about.
pub(crate) struct Notice<'a> {
    pub(crate) kind: MailKind,
    /// What the mail tells besides: a device, a new address.
    pub(crate) detail: &'a str,
    /// The address that the link brings back, if the notice is about a change of it.
    pub(crate) brings_back: Option<&'a Email>,
}

/// Orders a notice to `to`, unless the operator wants none or no mail can reach it.
pub(crate) fn order_notice(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    to: Option<&Email>,
    notice: &Notice<'_>,
    now: UtcTime,
) -> Result<()> {
    // An address that was never verified may be a stranger's. The owner of an account that staff or an import
    // made has no other one to be told at that the user name for the next log-in is another; that notice has no
    // link then.
    let may_be_told = user.email_verified || notice.kind == MailKind::UsernameChanged;
    let is_wanted = policy.security_notices && may_be_told;
    let Some(to) = to.filter(|to| is_wanted && to.is_reachable()) else {
        return Ok(());
    };
    let challenge = Challenge {
        email: notice.brings_back.cloned(),
        detail: notice.detail.to_owned(),
        ..Challenge::new(ChallengeKind::Disavow, Some(user.id), now)
    };
    challenges::insert_challenge(conn, &challenge, 0)?;
    let (id, about) = (challenge.id.as_str(), Some(user.id));
    outbox::enqueue(conn, notice.kind, to, &user.locale, id, about, now)?;
    Ok(())
}
