//! Events of the audit trail, and the parameters of a page of them.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::time::rfc3339;
use crate::domain::{self, EventId, EventKind, Fault, UserId};
use crate::flows::EventPage;
use crate::http::request::body::{Body, Fields};
use crate::http::schema::open_words;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Page of events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Page` is read from")]
pub struct EventsQuery {
    /// Maximum number of events on the page.
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(required = false, format = "uuid")]
    cursor: Option<String>,
}

/// The parsed parameters.
pub struct Page {
    /// Maximum number of events on the page.
    pub limit: usize,
    /// Only events older than this one.
    pub before: Option<EventId>,
}

impl Body for Page {
    fn read(fields: &mut Fields) -> Option<Self> {
        let limit = fields.optional("limit", |text| match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
            _ => Err(Fault::InvalidFormat),
        });
        let cursor = |text: &str| EventId::parse(text).ok_or(Fault::InvalidFormat);
        let before = fields.optional("cursor", cursor);
        Some(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), before })
    }
}

/// The kinds of events, as a type of the document.
pub struct EventName;

impl PartialSchema for EventName {
    fn schema() -> RefOr<Schema> {
        let line = |kind: &EventKind| format!("\n- `{}`: {}", kind.name(), kind.meaning());
        let lines: String = EventKind::ALL.iter().map(line).collect();
        let description = format!("What happened. More kinds may come.\n{lines}");
        open_words(EventKind::ALL.iter().map(|kind| kind.name()), &description)
    }
}

impl ToSchema for EventName {}

/// An event of an account.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// Id of the event; ids of later events sort later.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    id: String,
    /// Its kind.
    #[schema(value_type = EventName, example = "logged_in")]
    kind: &'static str,
    /// Time of the event (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-24T08:00:00.000000Z")]
    at: String,
    /// The session in which it happened, or that it is about.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    session_id: Option<String>,
    /// Browser and operating system, as far as the client named them; empty if unknown or not the
    /// user's own.
    #[schema(example = "Firefox on Windows")]
    device: String,
    /// Network of the client; empty if unknown or not the user's own.
    #[schema(example = "192.0.2.0/24")]
    network: String,
    /// True if staff, or a service with an API key, acted.
    #[schema(example = false)]
    by_staff: bool,
    /// The staff member who acted, or 0 for the command line; shown to staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = i64, example = 1)]
    actor_id: Option<i64>,
    /// The id of the API key of the service that acted; shown to staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String, example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a13")]
    api_key_id: Option<String>,
    /// The name of that key; shown to staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String, example = "billing")]
    api_key_name: Option<String>,
    /// Detail that depends on the kind. May be empty.
    #[schema(example = "pwd")]
    detail: String,
}

impl Event {
    /// Returns `event` in the form for staff.
    pub fn for_staff(event: domain::Event) -> Self {
        let domain::Event { id, kind, context, detail, api_key_name } = event;
        let by_staff = context.is_by_other();
        Self {
            id: id.0,
            kind: kind.name(),
            at: rfc3339(context.at),
            session_id: context.session_id.map(|id| id.0),
            device: context.device.label,
            network: context.device.network,
            by_staff,
            actor_id: context.actor_id.map(|UserId(id)| id),
            api_key_id: context.api_key.map(|id| id.0),
            api_key_name,
            detail,
        }
    }

    /// Returns `event` in the form for the user, which shows that staff acted, but not who.
    pub fn for_owner(event: domain::Event) -> Self {
        Self { actor_id: None, api_key_id: None, api_key_name: None, ..Self::for_staff(event) }
    }
}

/// Events of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = EventList)]
pub struct Events {
    /// The newest first.
    events: Vec<Event>,
    /// Cursor of the next page; null on the last one.
    next_cursor: Option<String>,
}

impl Events {
    /// Returns a page of events in the form of `show`.
    pub fn of(page: EventPage, show: fn(domain::Event) -> Event) -> Self {
        Self {
            events: page.events.into_iter().map(show).collect(),
            next_cursor: page.next.map(|last| last.0),
        }
    }
}
