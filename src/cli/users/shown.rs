//! An account as commands print it.

use crate::cli::{printable, time};
use crate::domain::User;

/// Returns id and names of an account.
pub(super) fn name(user: &User) -> String {
    let (id, username, email) = (user.id, user.username.as_str(), user.email_text());
    let email =
        if email.is_empty() || email == username { String::new() } else { format!(" <{email}>") };
    printable(&format!("{id} {username}{email}"))
}

/// Returns the line of an account in a list.
pub(super) fn line(user: &User) -> String {
    let state = match (user.is_active, user.disabled_until) {
        (true, _) => "active".to_owned(),
        (false, None) => "disabled".to_owned(),
        (false, Some(until)) => format!("disabled until {}", time(until)),
    };
    let flags = [
        (user.is_superuser, "superuser"),
        (user.is_staff && !user.is_superuser, "staff"),
        (!user.email_verified, "unverified"),
    ];
    let flags = flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(["  ", flag]));
    let flags = flags.flatten().collect::<String>();
    let roles = printable(&user.roles.to_text());
    let roles = if roles.is_empty() { roles } else { format!("  roles {roles}") };
    let last = user.last_login_at.map(|at| format!("  last log-in {}", time(at)));
    format!("{}  {state}{flags}{roles}{}\n", name(user), last.unwrap_or_default())
}
