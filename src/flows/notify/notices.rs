//! Security notices: what happened to an account, told to its owner with a link that says "this was
//! not me".

use crate::domain::{Email, OneTimeId, OneTimeToken, Purpose, User, UtcTime};
use crate::flows::{Policy, Result};
use crate::store::outbox::{self, MailKind};
use crate::store::{Conn, one_time_tokens};

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
    // An address that was never proven may be a stranger's.
    let is_wanted = policy.security_notices && user.email_verified;
    let Some(to) = to.filter(|to| is_wanted && to.is_reachable()) else {
        return Ok(());
    };
    let token = OneTimeToken {
        id: OneTimeId::new(now),
        user_id: user.id,
        purpose: Purpose::Disavow,
        email: notice.brings_back.cloned(),
        detail: notice.detail.to_owned(),
        code_hash: None,
        created_at: now,
        expires_at: now.after(Purpose::Disavow.lifetime()),
        used_at: None,
    };
    one_time_tokens::insert_token(conn, &token, 0)?;
    let (id, about) = (token.id.as_str(), Some(user.id));
    outbox::enqueue(conn, notice.kind, to, &user.locale, id, about, now)?;
    Ok(())
}
