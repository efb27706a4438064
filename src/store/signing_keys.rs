//! The signing keys, sealed.

use diesel::prelude::*;

use super::schema::signing_keys;
use super::{Conn, Result};
use crate::domain::{SealedKey, UtcTime};

/// The columns of a row, in their order.
type Row = (String, String, Vec<u8>, String, i64, i64);

/// Returns all keys, the newest last.
pub fn list_keys(conn: &mut Conn) -> Result<Vec<SealedKey>> {
    let rows = signing_keys::table.order((signing_keys::created_at, signing_keys::kid));
    let key = |(kid, algorithm, sealed_private_key, public_jwk, created_at, signs_from): Row| {
        let (created_at, signs_from) =
            (UtcTime::from_micros(created_at), UtcTime::from_micros(signs_from));
        SealedKey { kid, algorithm, sealed_private_key, public_jwk, created_at, signs_from }
    };
    Ok(rows.load::<Row>(conn)?.into_iter().map(key).collect())
}

fn insert(conn: &mut Conn, key: &SealedKey) -> Result<()> {
    let row = (
        signing_keys::kid.eq(&key.kid),
        signing_keys::algorithm.eq(&key.algorithm),
        signing_keys::sealed_private_key.eq(&key.sealed_private_key),
        signing_keys::public_jwk.eq(&key.public_jwk),
        signing_keys::created_at.eq(key.created_at.micros()),
        signing_keys::signs_from.eq(key.signs_from.micros()),
    );
    diesel::insert_into(signing_keys::table).values(row).execute(conn)?;
    Ok(())
}

/// Inserts `key` unless there is one of its algorithm that signs later than `after`: of several
/// instances that create a key at the same time, one succeeds. Returns whether it was inserted.
pub fn insert_key_after(conn: &mut Conn, after: UtcTime, key: &SealedKey) -> Result<bool> {
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
    insert(conn, key)?;
    Ok(true)
}

/// Makes a key sign from `signs_from`, unless it does so earlier. Its creation is recorded as `now`
/// at the latest, in case the clock of its creator was ahead.
pub fn bring_forward(conn: &mut Conn, kid: &str, signs_from: UtcTime, now: UtcTime) -> Result<()> {
    let (signs_from, now) = (signs_from.micros(), now.micros());
    let later = signing_keys::table.find(kid).filter(signing_keys::signs_from.gt(signs_from));
    diesel::update(later).set(signing_keys::signs_from.eq(signs_from)).execute(conn)?;
    let ahead = signing_keys::table.find(kid).filter(signing_keys::created_at.gt(now));
    diesel::update(ahead).set(signing_keys::created_at.eq(now)).execute(conn)?;
    Ok(())
}

/// Replaces the seal `old` of a key. Returns false if another one is stored.
pub fn replace_seal(conn: &mut Conn, kid: &str, old: &[u8], new: &[u8]) -> Result<bool> {
    let sealed = signing_keys::table.find(kid).filter(signing_keys::sealed_private_key.eq(old));
    let replaced =
        diesel::update(sealed).set(signing_keys::sealed_private_key.eq(new)).execute(conn)?;
    Ok(replaced > 0)
}

/// Stores `key` and deletes all others.
pub fn replace_all_keys(conn: &mut Conn, key: &SealedKey) -> Result<()> {
    one_at_a_time(conn)?;
    diesel::delete(signing_keys::table).execute(conn)?;
    insert(conn, key)
}

/// Deletes these keys.
pub fn delete_keys(conn: &mut Conn, kids: &[String]) -> Result<()> {
    diesel::delete(signing_keys::table.filter(signing_keys::kid.eq_any(kids))).execute(conn)?;
    Ok(())
}

/// Serializes transactions that change the keys. SQLite has one writer.
fn one_at_a_time(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        diesel::sql_query("LOCK TABLE signing_keys IN EXCLUSIVE MODE").execute(postgres)?;
    }
    Ok(())
}
