//! Sessions.

pub mod candidate;
pub mod ended;
pub mod known_devices;
pub mod opening;
pub mod refresh;
pub mod refresh_tokens;

use diesel::dsl::exists;
use diesel::prelude::*;

use super::engine::cached::Cached;
use super::schema::{refresh_tokens as tokens_table, sessions};
use super::users::rights;
use super::{Conn, Page, Result, page};
use crate::domain::{
    Amr, CLOCKS_DIFFER, Device, EndReason, Session, SessionId, Transport, UserId, UtcTime,
};

#[derive(Queryable)]
pub(super) struct Row {
    pub(super) id: String,
    user_id: i64,
    amr: String,
    created_at: i64,
    last_seen_at: i64,
    pub(super) expires_at: i64,
    ended_at: Option<i64>,
    device: String,
    network: String,
    end_reason: Option<String>,
    transport: Option<String>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        Self {
            id: SessionId(row.id),
            user_id: UserId(row.user_id),
            amr: Amr::from_stored(&row.amr),
            device: Device { label: row.device, network: row.network },
            created_at: UtcTime::from_micros(row.created_at),
            last_seen_at: UtcTime::from_micros(row.last_seen_at),
            expires_at: UtcTime::from_micros(row.expires_at),
            ended_at: row.ended_at.map(UtcTime::from_micros),
            end_reason: row.end_reason.as_deref().and_then(EndReason::from_name),
            transport: row.transport.as_deref().and_then(Transport::from_name),
        }
    }
}

/// Returns the session with that id.
pub fn find_session(conn: &mut Conn, id: &SessionId) -> Result<Option<Session>> {
    let row = sessions::table.find(id.as_str()).first::<Row>(conn).optional()?;
    Ok(row.map(Session::from))
}

/// Records a use of a session at `now`: an access token is issued. The time decreases only if it is
/// further ahead than clocks of instances differ.
pub fn record_use(conn: &mut Conn, id: &SessionId, now: UtcTime) -> Result<()> {
    let earlier = sessions::last_seen_at.lt(now.micros());
    let wrong = sessions::last_seen_at.gt(latest_use(now).micros());
    let stale = sessions::table.find(id.as_str()).filter(earlier.or(wrong));
    Cached(diesel::update(stale).set(sessions::last_seen_at.eq(now.micros()))).execute(conn)?;
    Ok(())
}

/// Returns the latest time that another instance may have at `now`.
fn latest_use(now: UtcTime) -> UtcTime {
    now.after(CLOCKS_DIFFER)
}

/// Ends a session. Of concurrent calls exactly one gets `true`.
pub fn end_session(
    conn: &mut Conn,
    id: &SessionId,
    reason: EndReason,
    now: UtcTime,
) -> Result<bool> {
    let open = sessions::table.find(id.as_str()).filter(sessions::ended_at.is_null());
    let ended = diesel::update(open)
        .set((sessions::ended_at.eq(now.micros()), sessions::end_reason.eq(reason.name())))
        .execute(conn)?;
    Ok(ended == 1)
}

/// Ends a session of a user. Returns whether it was open.
pub fn end_session_of(
    conn: &mut Conn,
    user: UserId,
    id: &SessionId,
    reason: EndReason,
    now: UtcTime,
) -> Result<bool> {
    let open = sessions::table
        .find(id.as_str())
        .filter(sessions::user_id.eq(user.0))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now.micros()));
    let ended = diesel::update(open)
        .set((sessions::ended_at.eq(now.micros()), sessions::end_reason.eq(reason.name())))
        .execute(conn)?;
    Ok(ended == 1)
}

/// Ends every session of a user but `keep`, and returns those that were open. Tokens of the
/// Django REST adapter are sessions too.
pub fn end_all_sessions(
    conn: &mut Conn,
    user: UserId,
    keep: Option<&SessionId>,
    reason: EndReason,
    now: UtcTime,
) -> Result<Vec<SessionId>> {
    let kept = keep.map_or("", SessionId::as_str);
    let open = sessions::table
        .filter(sessions::user_id.eq(user.0))
        .filter(sessions::id.ne(kept))
        .filter(sessions::ended_at.is_null());
    let ended: Vec<String> = diesel::update(open)
        .set((sessions::ended_at.eq(now.micros()), sessions::end_reason.eq(reason.name())))
        .returning(sessions::id)
        .get_results(conn)?;
    rights::end_tokens(conn, user, now)?;
    Ok(ended.into_iter().map(SessionId).collect())
}

/// Returns the open sessions of a user, the one used last first. A session whose refresh token has
/// expired unused is not open.
pub fn list_open(conn: &mut Conn, user: UserId, now: UtcTime) -> Result<Vec<Session>> {
    let refreshable = tokens_table::table
        .filter(tokens_table::session_id.eq(sessions::id))
        .filter(tokens_table::used_at.is_null())
        .filter(tokens_table::expires_at.gt(now.micros()));
    let rows = sessions::table
        .filter(sessions::user_id.eq(user.0))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now.micros()))
        .filter(exists(refreshable))
        .order((sessions::last_seen_at.desc(), sessions::id.desc()))
        .load::<Row>(conn)?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// Returns up to `limit` sessions of a user, open or ended, with ids above `after`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    after: &str,
    limit: usize,
) -> Result<Page<Session>> {
    let some = || {
        let of_user = sessions::table.filter(sessions::user_id.eq(user.0));
        of_user.filter(sessions::id.gt(after)).order(sessions::id).limit(page::rows(limit))
    };
    // Few are open, by an index of their own. With one index for both, Postgres would look for the
    // devices of a user there, among all sessions.
    let mut rows = some().filter(sessions::ended_at.is_null()).load::<Row>(conn)?;
    rows.extend(some().filter(sessions::ended_at.is_not_null()).load::<Row>(conn)?);
    // In this order of statements a session that ends meanwhile is in both.
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    rows.dedup_by(|one, other| one.id == other.id);
    rows.truncate(limit);
    Ok(Page::of(rows, limit, |row| &row.id, |row| Some(row.into())))
}

/// Erases device and network of up to `limit` sessions of a deleted user. Returns whether there may
/// be more. The rows stay for some time, so that other instances read that the sessions ended.
pub fn erase_devices(conn: &mut Conn, user: UserId, limit: i64) -> Result<bool> {
    let of_user = || sessions::table.filter(sessions::user_id.eq(user.0)).select(sessions::id);
    let mut told: Vec<String> =
        of_user().filter(sessions::device.gt("")).limit(limit).load(conn)?;
    if !page::may_be_more(&told, limit) {
        let network_only =
            of_user().filter(sessions::device.eq("")).filter(sessions::network.gt(""));
        let rest = limit - i64::try_from(told.len()).unwrap_or(limit);
        told.extend(network_only.limit(rest).load::<String>(conn)?);
    }
    if !told.is_empty() {
        diesel::update(sessions::table.filter(sessions::id.eq_any(&told)))
            .set((sessions::device.eq(""), sessions::network.eq("")))
            .execute(conn)?;
    }
    Ok(page::may_be_more(&told, limit))
}

/// Removes up to `limit` sessions that were over before `forget_before`, or up to `limit` of their
/// refresh tokens, which go first. Returns whether there may be more.
pub fn purge(conn: &mut Conn, forget_before: UtcTime, limit: i64) -> Result<bool> {
    let mut over: Vec<String> = sessions::table
        .filter(sessions::ended_at.lt(forget_before.micros()))
        .order(sessions::ended_at)
        .select(sessions::id)
        .limit(limit)
        .load(conn)?;
    if over.is_empty() {
        over = sessions::table
            .filter(sessions::expires_at.lt(forget_before.micros()))
            .order(sessions::expires_at)
            .select(sessions::id)
            .limit(limit)
            .load(conn)?;
    }
    if over.is_empty() {
        return Ok(false);
    }
    let tokens: Vec<Vec<u8>> = tokens_table::table
        .filter(tokens_table::session_id.eq_any(&over))
        .select(tokens_table::token_hash)
        .limit(limit)
        .load(conn)?;
    let are_all = i64::try_from(tokens.len()).is_ok_and(|found| found < limit);
    if !tokens.is_empty() {
        diesel::delete(tokens_table::table.filter(tokens_table::token_hash.eq_any(tokens)))
            .execute(conn)?;
    }
    if are_all {
        diesel::delete(sessions::table.filter(sessions::id.eq_any(over))).execute(conn)?;
    }
    Ok(true)
}
