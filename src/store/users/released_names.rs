//! E-mail addresses that accounts gave up, also as user names. Access tokens contain them until
//! they expire, so the account that takes one of them makes the former holder's tokens invalid.
//! Other user names pass from one account to another without that.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

use crate::domain::{Email, User, UserId, Username, UtcTime};
use crate::store::schema::released_names;
use crate::store::users::rights::renew_rights;
use crate::store::{Conn, Result};

/// Accounts of an import in one statement, with up to four names each.
const USERS_AT_A_TIME: usize = 1000;

/// Hashes of the e-mail addresses that an account answers to.
#[derive(Debug, Default)]
pub struct Names(BTreeSet<Vec<u8>>);

impl Names {
    /// Returns the e-mail addresses that an account answers to, also as its user name, in every
    /// spelling.
    pub fn of(username: &Username, email: Option<&Email>) -> Self {
        let spelled = username.named_address();
        let addresses = [spelled.as_ref(), email].into_iter().flatten();
        let addresses =
            addresses.flat_map(|it| [it.normalised().to_owned(), Username::normalise(it.as_str())]);
        Self(addresses.map(|it| digest(&SHA256, it.as_bytes()).as_ref().to_vec()).collect())
    }

    /// Returns the names that are not among `others`.
    fn without(&self, others: &Self) -> Vec<Vec<u8>> {
        self.0.difference(&others.0).cloned().collect()
    }
}

/// Notes a change of the names of an account. Accounts that gave up one of the new names begin a
/// new generation of rights: their access tokens would pass for this account.
pub fn change(
    conn: &mut Conn,
    user: UserId,
    before: &Names,
    after: &Names,
    now: UtcTime,
) -> Result<()> {
    for name in before.without(after) {
        diesel::sql_query(
            "INSERT INTO released_names (user_id, name_hash, released_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, name_hash) DO UPDATE SET released_at = excluded.released_at",
        )
        .bind::<BigInt, _>(user.0)
        .bind::<Binary, _>(name)
        .bind::<BigInt, _>(now.micros())
        .execute(conn)?;
    }
    let taken = after.without(before);
    if taken.is_empty() { Ok(()) } else { end_tokens_with(conn, taken, user, now) }
}

/// Notes the names of accounts that an import inserted, as [`change`] does. `now` is the time of the
/// end of the import: the other instances read what was revoked in the last minute.
pub fn take_all(conn: &mut Conn, users: &[User], now: UtcTime) -> Result<()> {
    for some in users.chunks(USERS_AT_A_TIME) {
        let names = some.iter().map(|user| Names::of(&user.username, user.email.as_ref()).0);
        let taken: BTreeSet<Vec<u8>> = names.flatten().collect();
        end_tokens_with(conn, taken.into_iter().collect(), UserId::NONE, now)?;
    }
    Ok(())
}

/// Starts a new generation of rights of the accounts, except `owner`, that gave up one of these
/// names.
fn end_tokens_with(
    conn: &mut Conn,
    names: Vec<Vec<u8>>,
    owner: UserId,
    now: UtcTime,
) -> Result<()> {
    let former: Vec<i64> = released_names::table
        .filter(released_names::name_hash.eq_any(names))
        .filter(released_names::user_id.ne(owner.0))
        .order(released_names::user_id)
        .select(released_names::user_id)
        .distinct()
        .load(conn)?;
    for holder in former {
        renew_rights(conn, UserId(holder), now)?;
    }
    Ok(())
}

/// Removes up to `limit` names that were given up at `before` or earlier. Returns whether there
/// may be more.
pub fn purge(conn: &mut Conn, before: UtcTime, limit: i64) -> Result<bool> {
    let over = released_names::table
        .filter(released_names::released_at.le(before.micros()))
        .order(released_names::released_at)
        .select((released_names::user_id, released_names::name_hash))
        .limit(limit)
        .load::<(i64, Vec<u8>)>(conn)?;
    if over.is_empty() {
        return Ok(false);
    }
    // The pairs of each with each that exist besides those of `over` are due too.
    let (users, names): (Vec<i64>, Vec<Vec<u8>>) = over.into_iter().unzip();
    let due = released_names::table
        .filter(released_names::user_id.eq_any(users))
        .filter(released_names::name_hash.eq_any(names))
        .filter(released_names::released_at.le(before.micros()));
    diesel::delete(due).execute(conn)?;
    Ok(true)
}
