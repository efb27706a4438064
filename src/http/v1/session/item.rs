//! A session, in the form for its user.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{self, SessionId};
use crate::http::v1::time::rfc3339;

/// One log-in on one device.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Its id, the `sid` of its tokens.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    id: String,
    /// Browser and operating system, as far as the client named them; may be empty.
    #[schema(example = "Firefox on Windows")]
    device: String,
    /// Time of the log-in (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    first_seen_at: String,
    /// Time of the last refresh (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-24T08:00:00.000000Z")]
    last_seen_at: String,
    /// Latest possible end (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-12-23T08:00:00.000000Z")]
    expires_at: String,
    /// True for the session of this request.
    #[schema(example = true)]
    current: bool,
}

impl Session {
    /// Returns `session` in the form for the user of the session `current`.
    pub fn of(session: domain::Session, current: &SessionId) -> Self {
        Self {
            current: session.id == *current,
            id: session.id.0,
            device: session.device.label,
            first_seen_at: rfc3339(session.created_at),
            last_seen_at: rfc3339(session.last_seen_at),
            expires_at: rfc3339(session.expires_at),
        }
    }
}
