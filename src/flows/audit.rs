//! The audit trail: events that several flows record, and access to them. Every other event is
//! recorded by its flow, in its transaction; see `docs/adr/0012-audit-trail.md`.

use std::time::Duration;

use super::limits::start_cooldown;
use super::{Caller, Claims, Error, Flows, Result};
use crate::domain::secrets::Secrets;
use crate::domain::{
    Device, EventContext, EventId, EventKind, LimitHit, Scope, User, UserId, UtcTime,
};
use crate::store::events::{self, EventPage};
use crate::store::sessions::candidate::{Named, find_named};
use crate::store::{self, Conn, users};

/// The interval in which a free and repeatable action of a user is recorded once. Without it, a
/// client could fill the table and hide other events.
const ONCE_IN: Duration = Duration::from_mins(15);

impl Flows {
    /// Returns the events of the caller's own account, newest first.
    pub fn list_own_events(
        &self,
        claims: &Claims,
        before: Option<&EventId>,
        limit: usize,
    ) -> Result<EventPage> {
        self.events_of(claims.user_id(), before, limit)
    }

    /// Returns the events of a user's account, for staff. They outlive the account.
    pub fn list_user_events(
        &self,
        caller: &Caller,
        id: UserId,
        before: Option<&EventId>,
        limit: usize,
    ) -> Result<EventPage> {
        self.administrator(caller, Scope::UsersRead)?;
        let mut page = self.events_of(id, before, limit)?;
        // Read after the events: a deletion in between is noticed.
        let is_there = self.db.read(|conn| users::find_by_id(conn, id))?.is_some();
        if page.events.is_empty() && !is_there {
            return Err(Error::NotFound);
        }
        if !is_there {
            for event in &mut page.events {
                event.context.device = Device::default();
                event.detail.clear();
            }
        }
        Ok(page)
    }

    fn events_of(&self, id: UserId, before: Option<&EventId>, limit: usize) -> Result<EventPage> {
        let since = self.now().before(self.policy.event_retention);
        Ok(self.db.read(|conn| events::list_page(conn, id, since, before, limit))?)
    }

    /// Records a wrong password, and the limits that it reached, which apply from now on. For an
    /// unknown user the same rows are looked up and written, as events without an account that a
    /// purge removes, so the time does not reveal which users exist. A failure is logged and does
    /// not change the response.
    pub(super) fn note_wrong_password(
        &self,
        named: &Named,
        device: &Device,
        reached: Vec<LimitHit>,
    ) {
        let (kind, secrets) = (EventKind::LogInFailed, self.secrets.clone());
        self.note_failed_log_in(named, device, move |conn, context| {
            record_failure(conn, &secrets, context, kind, &reached)
        });
    }

    /// Records a wrong password of a user who is logged in.
    pub(super) fn note_failed_reauthentication(
        &self,
        context: EventContext,
        reached: Vec<LimitHit>,
    ) {
        let (kind, secrets) = (EventKind::ReauthenticationFailed, self.secrets.clone());
        let user = context.user_id;
        let noted =
            self.db.write(move |conn| record_failure(conn, &secrets, context, kind, &reached));
        warn_of_gap(user, noted);
    }

    /// Records a log-in with the right password to a disabled account.
    pub(super) fn note_disabled(&self, named: &Named, device: &Device) {
        self.note_failed_log_in(named, device, |conn, context| {
            let context = lock_user_for_event(conn, context)?;
            record_once(conn, &context, EventKind::LogInFailed, "account_disabled")
        });
    }

    /// Looks the account up again, which may have been renamed or deleted meanwhile, and records a
    /// failed log-in to it.
    fn note_failed_log_in(
        &self,
        named: &Named,
        device: &Device,
        record: impl FnOnce(&mut Conn, EventContext) -> store::Result<()> + Clone + Send + 'static,
    ) {
        let found = self.db.read_statement(|conn| find_named(conn, named));
        let owner = found.as_ref().ok().copied().flatten();
        let noted = found.and_then(|owner| {
            let context = EventContext::of(owner, self.now()).on(device);
            self.db.write(move |conn| record(conn, context))
        });
        warn_of_gap(owner, noted);
    }
}

/// Logs that an event about `user` could not be recorded. The request continues.
fn warn_of_gap(user: Option<UserId>, noted: store::Result<()>) {
    if let Err(error) = noted {
        let user_id = user.map(|id| id.0);
        tracing::warn!(user_id, %error, "a wrong password is missing in the audit trail");
    }
}

/// Locks the account of an event until the transaction ends, and returns the event without its
/// client if the account was deleted: a concurrent deletion could otherwise be followed by a row
/// with a device. An event without an account locks the first account, which takes the same time.
fn lock_user_for_event(conn: &mut Conn, context: EventContext) -> store::Result<EventContext> {
    let held = users::hold_from(conn, context.user_id.unwrap_or(UserId::NONE))?;
    let is_there = held.is_some() && held == context.user_id;
    Ok(if is_there { context } else { EventContext::of(None, context.at) })
}

fn record_failure(
    conn: &mut Conn,
    secrets: &Secrets,
    context: EventContext,
    kind: EventKind,
    reached: &[LimitHit],
) -> store::Result<()> {
    let context = lock_user_for_event(conn, context)?;
    events::record(conn, &context, kind, "")?;
    // A lenient limit refuses nothing, so there is nothing to record.
    for LimitHit { counter, .. } in reached.iter().filter(|it| !it.counter.counted.is_lenient()) {
        events::record(conn, &context, EventKind::RateLimited, counter.counted.name())?;
    }
    start_cooldown(conn, secrets, reached)
}

/// Returns the context of an event that the holder of `claims` causes.
pub(super) fn context_of(claims: &Claims, device: &Device, now: UtcTime) -> EventContext {
    EventContext::of(claims.user_id(), now).in_session(&claims.session_id()).on(device)
}

/// Records a repeatable action once per [`ONCE_IN`]. Actions of staff are recorded each time.
pub(super) fn record_once(
    conn: &mut Conn,
    context: &EventContext,
    kind: EventKind,
    detail: &str,
) -> store::Result<()> {
    if context.is_by_other() {
        return events::record(conn, context, kind, detail);
    }
    events::record_once(conn, context, kind, detail, context.at.before(ONCE_IN))
}

/// Records which properties of an account changed.
pub(crate) fn record_changes(
    conn: &mut Conn,
    context: &EventContext,
    before: &User,
    after: &User,
) -> store::Result<()> {
    let has_new_address = before.email != after.email;
    if has_new_address {
        events::record(conn, context, EventKind::EmailChanged, "")?;
    }
    // An account without a chosen user name is named by its address; following the address is no
    // change of its own.
    let is_renamed = before.username.as_str() != after.username.as_str()
        && !(has_new_address && after.username.as_str() == after.email_text());
    let fields: Vec<&str> = [
        ("username", is_renamed),
        ("locale", before.locale != after.locale),
        ("metadata", before.metadata != after.metadata),
        ("app_metadata", before.app_metadata != after.app_metadata),
    ]
    .into_iter()
    .filter_map(|(field, is_changed)| is_changed.then_some(field))
    .collect();
    if !fields.is_empty() {
        record_once(conn, context, EventKind::ProfileChanged, &fields.join(", "))?;
    }
    if before.roles != after.roles {
        events::record(conn, context, EventKind::RolesChanged, "")?;
    }
    for (was, is, granted, taken) in [
        (before.is_active, after.is_active, EventKind::AccountEnabled, EventKind::AccountDisabled),
        (before.is_staff, after.is_staff, EventKind::StaffGranted, EventKind::StaffRevoked),
    ] {
        if was != is {
            events::record(conn, context, if is { granted } else { taken }, "")?;
        }
    }
    Ok(())
}
