//! Deleted users whose data is not erased yet. The erasure is requested in the transaction of the
//! deletion, unless that erases all; the rows follow in small steps.

use diesel::prelude::*;

use crate::domain::{UserId, UtcTime};
use crate::store::schema::erasures;
use crate::store::{Conn, Result};

/// Requests the erasure of a user's sessions and events.
pub fn request(conn: &mut Conn, user: UserId, now: UtcTime) -> Result<()> {
    diesel::insert_into(erasures::table)
        .values((erasures::user_id.eq(user.0), erasures::requested_at.eq(now.micros())))
        .execute(conn)?;
    Ok(())
}

/// Returns whether the erasure of a user's sessions and events is not finished.
pub fn is_requested(conn: &mut Conn, user: UserId) -> Result<bool> {
    let requested = erasures::table.find(user.0).select(erasures::user_id);
    Ok(requested.first::<i64>(conn).optional()?.is_some())
}

/// Returns up to `limit` users whose erasure is not finished.
pub fn list_requested(conn: &mut Conn, limit: i64) -> Result<Vec<UserId>> {
    let users = erasures::table.select(erasures::user_id).order(erasures::user_id).limit(limit);
    Ok(users.load(conn)?.into_iter().map(UserId).collect())
}

/// Removes a finished request.
pub fn finish(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(erasures::table.find(user.0)).execute(conn)?;
    Ok(())
}
