//! Looking for accounts, a page at a time.

use diesel::prelude::*;

use super::schema::users;
use super::users::Row;
use super::{Conn, Result};
use crate::domain::{User, UserId, Username};

/// Which accounts somebody looks for.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// What the name or the address contains, in any letter case.
    pub search: Option<String>,
    /// Whether they may log in.
    pub is_active: Option<bool>,
    /// Whether they may manage others.
    pub is_staff: Option<bool>,
}

/// A page of accounts in the order of their numbers.
#[derive(Debug)]
pub struct UserPage {
    /// The accounts.
    pub users: Vec<User>,
    /// The last number of this page, where there are more.
    pub next: Option<UserId>,
}

/// Up to `limit` accounts with numbers above `after`. Numbers only count up, so a page stays right
/// while accounts come and go.
pub fn list_page(
    conn: &mut Conn,
    filter: &UserFilter,
    after: UserId,
    limit: usize,
) -> Result<UserPage> {
    // Postgres refuses a statement that holds NUL, and no name or address does.
    if filter.search.as_ref().is_some_and(|search| search.contains('\0')) {
        return Ok(UserPage { users: Vec::new(), next: None });
    }
    let mut query = users::table.filter(users::id.gt(after.0)).order(users::id).into_boxed();
    if let Some(search) = filter.search.as_deref() {
        let name = users::username_norm.like(containing(&Username::normalise(search))).escape('\\');
        let address = users::email_norm.like(containing(&search.to_ascii_lowercase())).escape('\\');
        query = query.filter(name.nullable().or(address));
    }
    if let Some(is_active) = filter.is_active {
        query = query.filter(users::is_active.eq(is_active));
    }
    if let Some(is_staff) = filter.is_staff {
        query = query.filter(users::is_staff.eq(is_staff));
    }
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let rows = query.limit(one_more).load::<Row>(conn)?;
    let more = rows.len() > limit;
    let users: Vec<User> = rows.into_iter().take(limit).map(User::from).collect();
    let next = users.last().map(|last| last.id).filter(|_| more);
    Ok(UserPage { users, next })
}

/// A pattern for texts that contain `part` as it is.
fn containing(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
