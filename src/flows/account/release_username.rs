//! Release of user names that are the e-mail address of another user. Such names come from an
//! import or from staff. The user who verifies the address gets the name, and the other account is
//! renamed.

use crate::domain::{Email, EventContext, User, UserId, Username, UtcTime};
use crate::flows::account::placeholder::made_of_id;
use crate::flows::audit::record_changes;
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::{Policy, Result};
use crate::store::outbox::MailKind;
use crate::store::users::changes::{self, UserChanges};
use crate::store::users::{self, rights, search};
use crate::store::{self, Conn};

/// Removes `email`, which `owner` verifies, as the user name of all other accounts. Each is renamed
/// to its own verified address or to a name made of its user id, and its user is notified.
pub(crate) fn release_username(
    conn: &mut Conn,
    policy: &Policy,
    email: &Email,
    owner: Option<UserId>,
    now: UtcTime,
) -> Result<()> {
    for (id, name) in search::find_named_like(conn, email)? {
        if owner == Some(id) || !Username::unchecked(&name).is_address(email) {
            continue;
        }
        if let Some(holder) = users::lock_user(conn, id)? {
            rename(conn, policy, &holder, email, now)?;
        }
    }
    Ok(())
}

fn rename(
    conn: &mut Conn,
    policy: &Policy,
    holder: &User,
    email: &Email,
    now: UtcTime,
) -> Result<()> {
    let name = free_username(conn, holder, now)?;
    let changes = UserChanges { username: Some(name), ..UserChanges::default() };
    let Some(renamed) = changes::update_user(conn, holder.id, &changes, now)? else {
        return Ok(());
    };
    // Access tokens with this name would pass for the user who has it now.
    rights::renew_rights(conn, holder.id, now)?;
    record_changes(conn, &EventContext::of(holder.id, now), holder, &renamed)?;
    // In the spelling by which it is found when the owner of the address deletes the account.
    let detail = format!("{} {}", email.normalised(), renamed.username.as_str());
    let notice = Notice { kind: MailKind::UsernameChanged, detail: &detail, reverts_to: None };
    queue_notice(conn, policy, &renamed, &notice, now)?;
    tracing::info!(user_id = holder.id.0, "renamed: another user verified the address");
    Ok(())
}

fn free_username(conn: &mut Conn, holder: &User, now: UtcTime) -> store::Result<Username> {
    let own = holder.email.as_ref().filter(|_| holder.email_verified).map(Username::of_address);
    if let Some(own) = own
        && users::find_id_by_username(conn, own.as_str())?.is_none()
    {
        return Ok(own);
    }
    made_of_id(conn, holder.id, now)
}
