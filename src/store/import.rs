//! Import of accounts, many at once and with their user ids.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_query;

use super::schema::users;
use super::{Conn, Result};
use crate::domain::{Email, IdentityKey, User, UserId, UtcTime};

/// Rows in one statement: Postgres accepts 65,535 values, SQLite half as many.
const ROWS: usize = 1000;

/// Unique values of the accounts that exist in Hallpass.
#[derive(Debug, Default)]
pub struct Present {
    /// Normalised user name and time of creation by user id.
    pub accounts: HashMap<UserId, (String, UtcTime)>,
    /// User ids by normalised user name.
    pub names: HashMap<String, UserId>,
    /// User ids by normalised e-mail address.
    pub addresses: HashMap<String, UserId>,
    /// User ids by identity at another service, for those that the site has too.
    pub identities: HashMap<IdentityKey, UserId>,
}

/// Locks the accounts against other writers until the end of the transaction, so that free names
/// stay free.
pub fn lock_users(conn: &mut Conn) -> Result<()> {
    // SQLite has one writer.
    if let Conn::Postgres(postgres) = conn {
        sql_query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(postgres)?;
    }
    Ok(())
}

/// Returns the names, addresses and user ids of existing accounts, without identities.
pub fn find_present(conn: &mut Conn) -> Result<Present> {
    let rows: Vec<(i64, String, Option<String>, i64)> = users::table
        // An import completes the deletion of the others.
        .filter(users::deleted_at.is_null())
        .select((users::id, users::username_norm, users::email_norm, users::created_at))
        .load(conn)?;
    let mut present = Present::default();
    for (id, name, address, created_at) in rows {
        let id = UserId(id);
        present.names.insert(name.clone(), id);
        present.accounts.insert(id, (name, UtcTime::from_micros(created_at)));
        if let Some(address) = address {
            present.addresses.insert(address, id);
        }
    }
    Ok(present)
}

/// Inserts accounts with their user ids, and reports their number so far to `progress`. Later
/// accounts get higher user ids.
pub fn insert_users(conn: &mut Conn, accounts: &[User], progress: fn(usize)) -> Result<()> {
    let mut done = 0;
    for chunk in accounts.chunks(ROWS) {
        let rows: Vec<_> = chunk
            .iter()
            .map(|user| {
                (
                    users::id.eq(user.id.0),
                    users::username.eq(user.username.as_str()),
                    users::username_norm.eq(user.username.normalised()),
                    users::email.eq(user.email.as_ref().map(Email::as_str)),
                    users::email_norm.eq(user.email.as_ref().map(Email::normalised)),
                    users::email_verified.eq(user.email_verified),
                    users::password_hash.eq(user.password_hash.expose()),
                    users::is_active.eq(user.is_active),
                    users::is_staff.eq(user.is_staff),
                    users::is_superuser.eq(user.is_superuser),
                    users::locale.eq(user.locale.as_str()),
                    users::created_at.eq(user.created_at.micros()),
                    users::updated_at.eq(user.updated_at.micros()),
                    users::last_login_at.eq(user.last_login_at.map(UtcTime::micros)),
                    users::metadata.eq(user.metadata.to_text()),
                    users::app_metadata.eq(user.app_metadata.to_text()),
                    users::roles.eq(user.roles.to_text()),
                    users::disabled_reason.eq(user.disabled_reason.as_deref()),
                    users::tokens_from.eq(user.tokens_from.micros()),
                )
            })
            .collect();
        done += match conn {
            Conn::Sqlite(sqlite) => {
                diesel::insert_into(users::table).values(&rows).execute(sqlite)?
            }
            Conn::Postgres(postgres) => {
                diesel::insert_into(users::table).values(&rows).execute(postgres)?
            }
        };
        progress(done);
    }
    if accounts.is_empty() {
        return Ok(());
    }
    // SQLite's sequence follows by itself; that of Postgres counts only numbers that it assigned.
    if let Conn::Postgres(postgres) = conn {
        sql_query(
            "SELECT setval(counter, GREATEST(nextval(counter), (SELECT max(id) FROM users))) \
             FROM (SELECT pg_get_serial_sequence('users', 'id')::regclass AS counter) AS it",
        )
        .execute(postgres)?;
    }
    Ok(())
}
