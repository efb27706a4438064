//! The audit trail. Rows are written in the transaction of what they tell about.

use diesel::prelude::*;

use super::schema::events;
use super::{Conn, Result};
use crate::domain::{Device, Event, EventId, EventKind, Scene, SessionId, UserId, UtcTime};

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
}

impl Row {
    /// `None` for a kind that a newer version knows.
    fn event(self) -> Option<Event> {
        Some(Event {
            id: EventId(self.id),
            kind: EventKind::from_name(&self.kind)?,
            scene: Scene {
                user_id: self.user_id.map(UserId),
                actor_id: self.actor_id.map(UserId),
                session_id: self.session_id.map(SessionId),
                device: Device { label: self.device, network: self.network },
                at: UtcTime::from_micros(self.at),
            },
            detail: self.detail,
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

/// Notes that something happened.
pub fn record(conn: &mut Conn, scene: &Scene, kind: EventKind, detail: &str) -> Result<()> {
    diesel::insert_into(events::table)
        .values((
            events::id.eq(EventId::new(scene.at).as_str()),
            events::user_id.eq(scene.user_id.map(|id| id.0)),
            events::actor_id.eq(scene.actor_id.map(|id| id.0)),
            events::kind.eq(kind.name()),
            events::session_id.eq(scene.session_id.as_ref().map(SessionId::as_str)),
            events::device.eq(&scene.device.label),
            events::network.eq(&scene.device.network),
            events::detail.eq(detail),
            events::at.eq(scene.at.micros()),
        ))
        .execute(conn)?;
    Ok(())
}

/// The same of what a person does to the own account, unless it was noted in the same session and with
/// the same words since `since`.
pub fn record_once(
    conn: &mut Conn,
    scene: &Scene,
    kind: EventKind,
    detail: &str,
    since: UtcTime,
) -> Result<()> {
    let mut noted = events::table
        .filter(events::user_id.eq(scene.user_id.map(|id| id.0)))
        .filter(events::actor_id.is_null())
        .filter(events::at.gt(since.micros()))
        .filter(events::kind.eq(kind.name()))
        .filter(events::network.eq(&scene.device.network))
        .filter(events::detail.eq(detail))
        .select(events::id)
        .into_boxed();
    noted = match &scene.session_id {
        Some(session) => noted.filter(events::session_id.eq(session.as_str())),
        None => noted.filter(events::session_id.is_null()),
    };
    match noted.first::<String>(conn).optional()? {
        Some(_) => Ok(()),
        None => record(conn, scene, kind, detail),
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
    let rows = query.load::<Row>(conn)?;
    let more = rows.len() > limit;
    let events: Vec<Event> = rows.into_iter().take(limit).filter_map(Row::event).collect();
    let next = events.last().map(|last| last.id.clone()).filter(|_| more);
    Ok(EventPage { events, next })
}

/// Wipes off the events of a person who is gone what tells about them. That something happened to the
/// account of that number stays.
pub fn erase_details(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::update(events::table.filter(events::user_id.eq(user.0)))
        .set((events::device.eq(""), events::network.eq(""), events::detail.eq("")))
        .execute(conn)?;
    Ok(())
}

/// Removes up to `limit` events from before `forget_before` or of nobody. Tells whether there may be more.
pub fn purge(conn: &mut Conn, forget_before: UtcTime, limit: u32) -> Result<bool> {
    let over: Vec<String> = events::table
        .filter(events::at.le(forget_before.micros()).nullable().or(events::user_id.is_null()))
        .select(events::id)
        .limit(limit.into())
        .load(conn)?;
    let more = u32::try_from(over.len()).is_ok_and(|found| found == limit);
    diesel::delete(events::table.filter(events::id.eq_any(over))).execute(conn)?;
    Ok(more)
}
