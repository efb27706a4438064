//! The audit trail. Rows are written in the transaction that they describe.

use diesel::prelude::*;

use super::schema::{api_keys, events};
use super::{Conn, Result, page};
use crate::domain::{
    ApiKeyId, Device, Event, EventContext, EventId, EventKind, SessionId, UserId, UtcTime,
};

#[derive(Queryable)]
struct Row {
    id: String,
    user_id: Option<i64>,
    actor_id: Option<i64>,
    kind: String,
    session_id: Option<String>,
    device: String,
    network: String,
    detail: String,
    at: i64,
    api_key_id: Option<String>,
}

impl Row {
    /// Returns the event; `None` for a kind of a newer version.
    fn event(self, api_key_name: Option<String>) -> Option<Event> {
        Some(Event {
            id: EventId(self.id),
            kind: EventKind::from_name(&self.kind)?,
            context: EventContext {
                user_id: self.user_id.map(UserId),
                actor_id: self.actor_id.map(UserId),
                api_key: self.api_key_id.map(ApiKeyId),
                session_id: self.session_id.map(SessionId),
                device: Device { label: self.device, network: self.network },
                at: UtcTime::from_micros(self.at),
            },
            detail: self.detail,
            api_key_name,
        })
    }
}

/// A page of events, the newest first.
#[derive(Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// The last of them, if there are older ones.
    pub next: Option<EventId>,
}

/// Records an event.
pub fn record(
    conn: &mut Conn,
    context: &EventContext,
    kind: EventKind,
    detail: &str,
) -> Result<()> {
    diesel::insert_into(events::table)
        .values((
            events::id.eq(EventId::new(context.at).as_str()),
            events::user_id.eq(context.user_id.map(|id| id.0)),
            events::actor_id.eq(context.actor_id.map(|id| id.0)),
            events::kind.eq(kind.name()),
            events::session_id.eq(context.session_id.as_ref().map(SessionId::as_str)),
            events::device.eq(&context.device.label),
            events::network.eq(&context.device.network),
            events::detail.eq(detail),
            events::at.eq(context.at.micros()),
            events::api_key_id.eq(context.api_key.as_ref().map(ApiKeyId::as_str)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Records an event of a user's own action, unless the same event of the same session was recorded
/// since `since`.
pub fn record_once(
    conn: &mut Conn,
    context: &EventContext,
    kind: EventKind,
    detail: &str,
    since: UtcTime,
) -> Result<()> {
    let mut noted = events::table
        .filter(events::user_id.eq(context.user_id.map(|id| id.0)))
        // Ids begin with their time: this narrows the search to the newest of the user.
        .filter(events::id.ge(EventId::first_at(since).0))
        .filter(events::actor_id.is_null())
        .filter(events::at.gt(since.micros()))
        .filter(events::kind.eq(kind.name()))
        .filter(events::network.eq(&context.device.network))
        .filter(events::detail.eq(detail))
        .select(events::id)
        .into_boxed();
    noted = match &context.session_id {
        Some(session) => noted.filter(events::session_id.eq(session.as_str())),
        None => noted.filter(events::session_id.is_null()),
    };
    match noted.first::<String>(conn).optional()? {
        Some(_) => Ok(()),
        None => record(conn, context, kind, detail),
    }
}

/// Events of an account after `since`, the newest first, those older than `before`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    since: UtcTime,
    before: Option<&EventId>,
    limit: usize,
) -> Result<EventPage> {
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let mut query = events::table
        .left_join(api_keys::table.on(events::api_key_id.eq(api_keys::id.nullable())))
        .select((events::all_columns, api_keys::name.nullable()))
        .filter(events::user_id.eq(user.0))
        .filter(events::at.gt(since.micros()))
        // Kinds of a newer version would make pages short.
        .filter(events::kind.eq_any(EventKind::ALL.iter().map(|kind| kind.name())))
        .order(events::id.desc())
        .limit(one_more)
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(events::id.lt(before.as_str()));
    }
    let rows = query.load::<(Row, Option<String>)>(conn)?;
    let more = rows.len() > limit;
    let shown = rows.into_iter().take(limit);
    let events: Vec<Event> = shown.filter_map(|(row, key)| row.event(key)).collect();
    let next = events.last().map(|last| last.id.clone()).filter(|_| more);
    Ok(EventPage { events, next })
}

/// Erases device, network and detail of up to `limit` events of a deleted user that come after
/// `after`. Returns the id of the last one if there may be more. The rows themselves stay.
pub fn erase_details(
    conn: &mut Conn,
    user: UserId,
    after: Option<&EventId>,
    limit: i64,
) -> Result<Option<EventId>> {
    let ids: Vec<String> = events::table
        .filter(events::user_id.eq(user.0))
        .filter(events::id.gt(after.map_or("", EventId::as_str)))
        .order(events::id)
        .select(events::id)
        .limit(limit)
        .load(conn)?;
    if !ids.is_empty() {
        diesel::update(events::table.filter(events::id.eq_any(&ids)))
            .set((events::device.eq(""), events::network.eq(""), events::detail.eq("")))
            .execute(conn)?;
    }
    let last = ids.last().filter(|_| page::may_be_more(&ids, limit));
    Ok(last.cloned().map(EventId))
}

/// Deletes up to `limit` events from before `forget_before` or without a user. Returns whether
/// there may be more.
pub fn purge(conn: &mut Conn, forget_before: UtcTime, limit: i64) -> Result<bool> {
    let mut over: Vec<String> = events::table
        .filter(events::at.le(forget_before.micros()))
        .order(events::at)
        .select(events::id)
        .limit(limit)
        .load(conn)?;
    if over.is_empty() {
        let of_no_user = events::table.filter(events::user_id.is_null());
        over = of_no_user.select(events::id).limit(limit).load(conn)?;
    }
    if over.is_empty() {
        return Ok(false);
    }
    diesel::delete(events::table.filter(events::id.eq_any(over))).execute(conn)?;
    Ok(true)
}
