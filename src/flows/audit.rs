//! The audit trail: what is noted besides the stories themselves, and who may read it. A story notes what
//! it did in its own transaction; see `docs/adr/0012-audit-trail.md`.

use std::time::Duration;

use super::limits::start_cooldown;
use super::{Caller, Claims, Error, Flows, Result};
use crate::domain::token::Secrets;
use crate::domain::{
    Device, EventContext, EventId, EventKind, LimitHit, Scope, User, UserId, UtcTime,
};
use crate::store::events::{self, EventPage};
use crate::store::{self, Conn, users};

/// What a person can do again and again at no cost is noted once in so much time: nobody can fill the
/// table, or drown in it what they did.
const ONCE_IN: Duration = Duration::from_mins(15);

impl Flows {
    /// What happened to the holder's account, the newest first.
    pub fn list_own_events(
        &self,
        claims: &Claims,
        before: Option<&EventId>,
        limit: usize,
    ) -> Result<EventPage> {
        self.events_of(claims.user_id(), before, limit)
    }

    /// What happened to a user's account, for staff. The trail outlives the account.
    pub fn list_events_of(
        &self,
        caller: &Caller,
        id: UserId,
        before: Option<&EventId>,
        limit: usize,
    ) -> Result<EventPage> {
        self.administrator(caller, Scope::UsersRead)?;
        let page = self.events_of(id, before, limit)?;
        let is_known =
            !page.events.is_empty() || self.db.read(|conn| users::find_by_id(conn, id))?.is_some();
        if is_known { Ok(page) } else { Err(Error::NotFound) }
    }

    fn events_of(&self, id: UserId, before: Option<&EventId>, limit: usize) -> Result<EventPage> {
        let since = self.now().before(self.policy.event_retention);
        Ok(self.db.read(|conn| events::list_page(conn, id, since, before, limit))?)
    }

    /// Notes a wrong password, and the limits that it reached, which hold from now on. Nobody learns from
    /// the time that this takes whether there is such an account: what was tried on no account is looked up
    /// and written like the rest, as a row of nobody that upkeep removes. If this fails, the answer is the
    /// same.
    pub(super) fn note_wrong_password(
        &self,
        owner: impl FnOnce(&mut Conn) -> store::Result<Option<UserId>>,
        device: &Device,
        reached: Vec<LimitHit>,
    ) {
        let (now, device, secrets) = (self.now(), device.clone(), self.secrets.clone());
        warn_of_gap(self.db.read(owner).and_then(|owner| {
            let scene = EventContext::of(owner, now).on(&device);
            let kind = EventKind::LogInFailed;
            self.db.write(move |conn| record_failure(conn, &secrets, scene, kind, &reached))
        }));
    }

    /// Notes a wrong password of a user who is logged in.
    pub(super) fn note_failed_reauthentication(&self, scene: EventContext, reached: Vec<LimitHit>) {
        let (kind, secrets) = (EventKind::ReauthenticationFailed, self.secrets.clone());
        warn_of_gap(
            self.db.write(move |conn| record_failure(conn, &secrets, scene, kind, &reached)),
        );
    }

    /// Notes that the right password did not help: the account is switched off.
    pub(super) fn note_disabled(
        &self,
        owner: impl FnOnce(&mut Conn) -> store::Result<Option<UserId>>,
        device: &Device,
    ) {
        let (now, device) = (self.now(), device.clone());
        warn_of_gap(self.db.read(owner).and_then(|owner| {
            let scene = EventContext::of(owner, now).on(&device);
            let kind = EventKind::LogInFailed;
            self.db.write(move |conn| {
                let scene = lock_user_for_event(conn, scene)?;
                record_once(conn, &scene, kind, "account_disabled")
            })
        }));
    }
}

/// What did not happen must not fail because it could not be noted.
fn warn_of_gap(noted: store::Result<()>) {
    if let Err(error) = noted {
        tracing::warn!(%error, "a wrong password is missing in the audit trail");
    }
}

/// The scene, if its account is still there; it stays until the transaction is over. Otherwise a deletion
/// at the same moment could be followed by a row that has a device again. Where nobody is meant, the first
/// account is held for as long: that takes the same time.
fn lock_user_for_event(conn: &mut Conn, scene: EventContext) -> store::Result<EventContext> {
    let held = users::hold_from(conn, scene.user_id.unwrap_or(UserId::NONE))?;
    let is_there = held.is_some() && held == scene.user_id;
    Ok(if is_there { scene } else { EventContext::of(None, scene.at) })
}

fn record_failure(
    conn: &mut Conn,
    secrets: &Secrets,
    scene: EventContext,
    kind: EventKind,
    reached: &[LimitHit],
) -> store::Result<()> {
    let scene = lock_user_for_event(conn, scene)?;
    events::record(conn, &scene, kind, "")?;
    // A lenient bound refuses nothing that could be told.
    for LimitHit { counter, .. } in reached.iter().filter(|it| !it.counter.counted.is_lenient()) {
        events::record(conn, &scene, EventKind::RateLimited, counter.counted.name())?;
    }
    start_cooldown(conn, secrets, reached)
}

/// Something that the holder of `claims` does.
pub(super) fn scene(claims: &Claims, device: &Device, now: UtcTime) -> EventContext {
    EventContext::of(claims.user_id(), now).in_session(&claims.session_id()).on(device)
}

/// Notes what any user can do again and again. What staff do is noted each time: they answer for it.
pub(super) fn record_once(
    conn: &mut Conn,
    scene: &EventContext,
    kind: EventKind,
    detail: &str,
) -> store::Result<()> {
    if scene.is_by_other() {
        return events::record(conn, scene, kind, detail);
    }
    events::record_once(conn, scene, kind, detail, scene.at.before(ONCE_IN))
}

/// Notes in which ways an account is another than it was.
pub(crate) fn record_changes(
    conn: &mut Conn,
    scene: &EventContext,
    before: &User,
    after: &User,
) -> store::Result<()> {
    let has_new_address = before.email != after.email;
    if has_new_address {
        events::record(conn, scene, EventKind::EmailChanged, "")?;
    }
    // A user who is called by the address is called by the new one: that is no change of its own.
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
        record_once(conn, scene, EventKind::ProfileChanged, &fields.join(", "))?;
    }
    if before.roles != after.roles {
        events::record(conn, scene, EventKind::RolesChanged, "")?;
    }
    for (was, is, granted, taken) in [
        (before.is_active, after.is_active, EventKind::AccountEnabled, EventKind::AccountDisabled),
        (before.is_staff, after.is_staff, EventKind::StaffGranted, EventKind::StaffRevoked),
    ] {
        if was != is {
            events::record(conn, scene, if is { granted } else { taken }, "")?;
        }
    }
    Ok(())
}
