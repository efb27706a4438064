//! Deleted users whose details are still to be erased. The order is written in the transaction of the
//! deletion; the rows themselves follow in small steps, however many there are.

use diesel::prelude::*;

use super::schema::erasures;
use super::{Conn, Result};
use crate::domain::{UserId, UtcTime};

/// Orders the erasure of what sessions and events tell about a user.
pub fn request(conn: &mut Conn, user: UserId, now: UtcTime) -> Result<()> {
    diesel::insert_into(erasures::table)
        .values((erasures::user_id.eq(user.0), erasures::requested_at.eq(now.micros())))
        .execute(conn)?;
    Ok(())
}

/// Returns up to `limit` users whose erasure is not finished.
pub fn list_requested(conn: &mut Conn, limit: i64) -> Result<Vec<UserId>> {
    let users = erasures::table.select(erasures::user_id).order(erasures::user_id).limit(limit);
    Ok(users.load(conn)?.into_iter().map(UserId).collect())
}

/// Closes the order.
pub fn finish(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(erasures::table.find(user.0)).execute(conn)?;
    Ok(())
}
