//! The keys that sign tokens, sealed.

use diesel::prelude::*;

use super::schema::signing_keys;
use super::{Conn, Result};
use crate::domain::UtcTime;

/// A signing key as it is stored: the private part sealed under the service's secret.
#[derive(Clone, Debug, Queryable)]
pub struct StoredKey {
    /// Its name in token headers.
    pub kid: String,
    /// Its JWS algorithm (RFC 7518).
    pub algorithm: String,
    /// The private key, sealed.
    pub sealed_private_key: Vec<u8>,
    /// The public key as a JWK (RFC 7517).
    pub public_jwk: String,
    /// When it was made, in microseconds since the epoch.
    pub created_at: i64,
}

/// All keys, the newest last.
pub fn list_keys(conn: &mut Conn) -> Result<Vec<StoredKey>> {
    Ok(signing_keys::table.order((signing_keys::created_at, signing_keys::kid)).load(conn)?)
}

/// Keeps `key` unless there is one of its algorithm already. Instances that start at the same
/// time agree on one.
pub fn insert_first_key(conn: &mut Conn, key: &StoredKey, now: UtcTime) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        // SQLite has one writer anyway.
        diesel::sql_query("LOCK TABLE signing_keys IN EXCLUSIVE MODE").execute(postgres)?;
    }
    let known: i64 = signing_keys::table
        .filter(signing_keys::algorithm.eq(&key.algorithm))
        .count()
        .get_result(conn)?;
    if known == 0 {
        diesel::insert_into(signing_keys::table)
            .values((
                signing_keys::kid.eq(&key.kid),
                signing_keys::algorithm.eq(&key.algorithm),
                signing_keys::sealed_private_key.eq(&key.sealed_private_key),
                signing_keys::public_jwk.eq(&key.public_jwk),
                signing_keys::created_at.eq(now.micros()),
            ))
            .execute(conn)?;
    }
    Ok(())
}
