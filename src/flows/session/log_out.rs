//! Ending the session of a refresh token (RFC 7009: an unknown token is no error).

use crate::domain::{Device, EndReason, EventContext, EventKind, PlainToken, Transport};
use crate::flows::{Error, Flows, Result};
use crate::store::{events, sessions};

impl Flows {
    /// Ends the session that `token` belongs to, if there is one. A token that was replaced
    /// already still names its session.
    /// A token that comes by another `transport` than it was issued by is unknown.
    pub fn log_out(&self, token: &PlainToken, transport: Transport, device: &Device) -> Result<()> {
        let found = self.db.read(|conn| sessions::find_refresh_token(conn, &token.hash()))?;
        let id = match found {
            Some((_, session)) => Some(session.id),
            None => self.find_by_successor(token)?,
        };
        let Some(id) = id else { return Ok(()) };
        let (device, now) = (device.clone(), self.now());
        let ended = self.db.write(move |conn| {
            let found = sessions::find_session(conn, &id)?;
            let Some(session) = found.filter(|session| session.accepts(transport)) else {
                return Ok(None);
            };
            let ended = sessions::end_session(conn, &session.id, EndReason::LoggedOut, now)?;
            if ended {
                let scene =
                    EventContext::of(session.user_id, now).in_session(&session.id).on(&device);
                events::record(conn, &scene, EventKind::LoggedOut, "")?;
            }
            Ok::<_, Error>(ended.then_some(session))
        })?;
        if let Some(session) = ended {
            self.note_ended(session.user_id, [session.id.clone()], EndReason::LoggedOut, now);
            tracing::info!(user_id = session.user_id.0, session_id = %session.id, "logged out");
        }
        Ok(())
    }
}
