//! The keys that sign tokens, sealed.

use diesel::prelude::*;

use super::schema::signing_keys;
use super::{Conn, Result};
use crate::domain::UtcTime;

/// A signing key as it is stored: the private part sealed under the service's secret.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = signing_keys)]
pub struct StoredKey {
    /// Its name in token headers.
    pub kid: String,
    /// Its JWS algorithm (RFC 7518).
    pub algorithm: String,
    /// The private key, sealed.
    pub sealed_private_key: Vec<u8>,
    /// The public key as a JWK (RFC 7517).
    pub public_jwk: String,
    /// Time of creation, in microseconds since the epoch.
    pub created_at: i64,
    /// Time from which it signs, in microseconds since the epoch.
    pub signs_from: i64,
}

/// All keys, the newest last.
pub fn list_keys(conn: &mut Conn) -> Result<Vec<StoredKey>> {
    Ok(signing_keys::table.order((signing_keys::created_at, signing_keys::kid)).load(conn)?)
}

/// Keeps `key` unless there is one of its algorithm that takes over later than `after`: of
/// instances that want a new key at the same time, one gets it. Tells whether it was kept.
pub fn insert_key_after(conn: &mut Conn, after: UtcTime, key: &StoredKey) -> Result<bool> {
    one_at_a_time(conn)?;
    let newer: i64 = signing_keys::table
        .filter(signing_keys::algorithm.eq(&key.algorithm))
        .filter(
            signing_keys::signs_from
                .gt(after.micros())
                .or(signing_keys::created_at.gt(after.micros())),
        )
        .count()
        .get_result(conn)?;
    if newer > 0 {
        return Ok(false);
    }
    diesel::insert_into(signing_keys::table).values(key).execute(conn)?;
    Ok(true)
}

/// Lets a key take over at `signs_from`, unless that would be later. None was made later than `now`,
/// whatever the clock of its maker said.
pub fn bring_forward(conn: &mut Conn, kid: &str, signs_from: UtcTime, now: UtcTime) -> Result<()> {
    let (signs_from, now) = (signs_from.micros(), now.micros());
    let later = signing_keys::table.find(kid).filter(signing_keys::signs_from.gt(signs_from));
    diesel::update(later).set(signing_keys::signs_from.eq(signs_from)).execute(conn)?;
    let ahead = signing_keys::table.find(kid).filter(signing_keys::created_at.gt(now));
    diesel::update(ahead).set(signing_keys::created_at.eq(now)).execute(conn)?;
    Ok(())
}

/// Replaces the seal of a key, unless it has another one than `old` by now. Returns whether it was replaced.
pub fn replace_seal(conn: &mut Conn, kid: &str, old: &[u8], new: &[u8]) -> Result<bool> {
    let sealed = signing_keys::table.find(kid).filter(signing_keys::sealed_private_key.eq(old));
    let replaced =
        diesel::update(sealed).set(signing_keys::sealed_private_key.eq(new)).execute(conn)?;
    Ok(replaced > 0)
}

/// Keeps `key` and no other.
pub fn replace_all_keys(conn: &mut Conn, key: &StoredKey) -> Result<()> {
    one_at_a_time(conn)?;
    diesel::delete(signing_keys::table).execute(conn)?;
    diesel::insert_into(signing_keys::table).values(key).execute(conn)?;
    Ok(())
}

/// Removes these keys.
pub fn delete_keys(conn: &mut Conn, kids: &[String]) -> Result<()> {
    diesel::delete(signing_keys::table.filter(signing_keys::kid.eq_any(kids))).execute(conn)?;
    Ok(())
}

/// Until the transaction ends, no other transaction changes the keys. SQLite has one writer anyway.
fn one_at_a_time(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        diesel::sql_query("LOCK TABLE signing_keys IN EXCLUSIVE MODE").execute(postgres)?;
    }
    Ok(())
}
