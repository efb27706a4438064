//! Ended sessions.

use diesel::prelude::*;

use crate::domain::{EndReason, EndedSession, SessionId, UserId, UtcTime};
use crate::store::schema::sessions;
use crate::store::{Conn, Result};

/// Lists the sessions that were ended since `since`.
pub fn list_since(conn: &mut Conn, since: UtcTime) -> Result<Vec<EndedSession>> {
    let ended = sessions::table.filter(sessions::ended_at.ge(since.micros())).select((
        sessions::id,
        sessions::user_id,
        sessions::ended_at,
        sessions::end_reason,
    ));
    // There may be many at a start, and rows of the enum of connections take longer to decode.
    let rows: Vec<(String, i64, Option<i64>, Option<String>)> = match conn {
        Conn::Postgres(postgres) => ended.load(postgres)?,
        Conn::Sqlite(sqlite) => ended.load(sqlite)?,
    };
    Ok(rows
        .into_iter()
        .filter_map(|(id, user_id, at, reason)| {
            Some(EndedSession {
                id: SessionId(id),
                user_id: UserId(user_id),
                at: UtcTime::from_micros(at?),
                reason: reason.as_deref().and_then(EndReason::from_name),
            })
        })
        .collect())
}
