//! Release of user names that are the e-mail address of another user. Such names come from an
//! import or from staff. The user who verifies the address gets the name, and the other account is
//! renamed.

use crate::domain::{Email, EventContext, User, UserId, Username, UtcTime};
use crate::flows::audit::record_changes;
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::{Error, Policy, Result};
use crate::store::Conn;
use crate::store::outbox::MailKind;
use crate::store::users::changes::{self, UserChanges};
use crate::store::users::{self, rights, search};

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
            rename(conn, policy, &holder, now)?;
        }
    }
    Ok(())
}

fn rename(conn: &mut Conn, policy: &Policy, holder: &User, now: UtcTime) -> Result<()> {
    let name = free_username(conn, holder)?;
    let changes = UserChanges { username: Some(name), ..UserChanges::default() };
    let Some(renamed) = changes::update_user(conn, holder.id, &changes, now)? else {
        return Ok(());
    };
    // Access tokens with this name would pass for the user who has it now.
    rights::renew_rights(conn, holder.id, now)?;
    record_changes(conn, &EventContext::of(holder.id, now), holder, &renamed)?;
    let detail = format!("{} {}", holder.username.as_str(), renamed.username.as_str());
    let notice = Notice { kind: MailKind::UsernameChanged, detail: &detail, reverts_to: None };
    queue_notice(conn, policy, &renamed, renamed.email.as_ref(), &notice, now)?;
    tracing::info!(user_id = holder.id.0, "renamed: another user verified the address");
    Ok(())
}

fn free_username(conn: &mut Conn, holder: &User) -> Result<Username> {
    let own = holder.email.as_ref().filter(|_| holder.email_verified).map(Username::of_address);
    let numbered = (1..=100).map(|attempt| match attempt {
        1 => format!("user-{}", holder.id),
        _ => format!("user-{}-{attempt}", holder.id),
    });
    let names = own.into_iter().chain(numbered.map(|name| Username::unchecked(&name)));
    for name in names {
        if users::find_id_by_username(conn, name.as_str())?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::Internal(format!("no user name is free for user {}", holder.id)))
}
