//! Devices on which users have logged in.

use diesel::prelude::*;

use crate::domain::{KnownDevice, TokenHash, UserId, UtcTime};
use crate::store::engine::cached::Cached;
use crate::store::schema::known_devices;
use crate::store::{Conn, Result, page};

/// Returns the owner of the device that holds this token.
pub fn find_owner(conn: &mut Conn, token: &TokenHash) -> Result<Option<UserId>> {
    let owner = known_devices::table.find(&token.0).select(known_devices::user_id);
    Ok(owner.first::<i64>(conn).optional()?.map(UserId))
}

/// Stores a device, or records its use. Beyond the `keep` used last, the oldest are deleted.
pub fn remember(
    conn: &mut Conn,
    user: UserId,
    token: &TokenHash,
    keep: i64,
    now: UtcTime,
) -> Result<()> {
    let own = known_devices::table.find(&token.0).filter(known_devices::user_id.eq(user.0));
    let update = diesel::update(own).set(known_devices::last_seen_at.eq(now.micros()));
    if Cached(update).execute(conn)? == 1 {
        return Ok(());
    }
    diesel::insert_into(known_devices::table)
        .values((
            known_devices::token_hash.eq(&token.0),
            known_devices::user_id.eq(user.0),
            known_devices::created_at.eq(now.micros()),
            known_devices::last_seen_at.eq(now.micros()),
        ))
        .execute(conn)?;
    let surplus: Vec<Vec<u8>> = known_devices::table
        .filter(known_devices::user_id.eq(user.0))
        .order((known_devices::last_seen_at.desc(), known_devices::token_hash))
        .select(known_devices::token_hash)
        .offset(keep)
        .limit(100)
        .load(conn)?;
    diesel::delete(known_devices::table.filter(known_devices::token_hash.eq_any(surplus)))
        .execute(conn)?;
    Ok(())
}

/// Returns all devices of a user, the oldest first.
pub fn list_all(conn: &mut Conn, user: UserId) -> Result<Vec<KnownDevice>> {
    let rows: Vec<(i64, i64)> = known_devices::table
        .filter(known_devices::user_id.eq(user.0))
        .order((known_devices::created_at, known_devices::token_hash))
        .select((known_devices::created_at, known_devices::last_seen_at))
        .load(conn)?;
    let device = |(created_at, last_seen_at)| KnownDevice {
        created_at: UtcTime::from_micros(created_at),
        last_seen_at: UtcTime::from_micros(last_seen_at),
    };
    Ok(rows.into_iter().map(device).collect())
}

/// Deletes up to `limit` devices of a user. Returns whether there may be more.
pub fn erase_of(conn: &mut Conn, user: UserId, limit: i64) -> Result<bool> {
    let of_user = known_devices::table.filter(known_devices::user_id.eq(user.0));
    let tokens: Vec<Vec<u8>> = of_user.select(known_devices::token_hash).limit(limit).load(conn)?;
    if !tokens.is_empty() {
        diesel::delete(known_devices::table.filter(known_devices::token_hash.eq_any(&tokens)))
            .execute(conn)?;
    }
    Ok(page::may_be_more(&tokens, limit))
}

/// Deletes all devices of a user.
pub fn forget_all(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(known_devices::table.filter(known_devices::user_id.eq(user.0))).execute(conn)?;
    Ok(())
}
