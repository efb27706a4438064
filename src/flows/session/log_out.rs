//! Ending the session of a refresh token (RFC 7009: an unknown token is no error).

use crate::domain::{
    Device, EndReason, EventContext, EventKind, PlainToken, Session, SessionId, Transport,
};
use crate::flows::{Error, Flows, Result};
use crate::store::{events, sessions};

impl Flows {
    /// Ends the session that `token` belongs to, if there is one. A token that was replaced
    /// already still names its session.
    /// A token that comes by another `transport` than it was issued by is unknown.
    pub fn log_out(&self, token: &PlainToken, transport: Transport, device: &Device) -> Result<()> {
        let Some(id) = self.find_session_of(token)? else { return Ok(()) };
        let scene = EventContext::of(None, self.now()).on(device);
        self.end_as_logged_out(id, scene, move |session| session.accepts(transport))
    }

    /// Finds the session of a refresh token, however long ago that was replaced.
    pub(super) fn find_session_of(&self, token: &PlainToken) -> Result<Option<SessionId>> {
        match self.db.read(|conn| sessions::find_refresh_token(conn, &token.hash()))? {
            Some((_, session)) => Ok(Some(session.id)),
            None => self.find_by_successor(token),
        }
    }

    /// Ends a session that `may_end` lets end, and records it in `scene`, which says who ends it and when.
    pub(super) fn end_as_logged_out(
        &self,
        id: SessionId,
        scene: EventContext,
        may_end: impl FnOnce(&Session) -> bool + Clone + Send + 'static,
    ) -> Result<()> {
        let now = scene.at;
        let ended = self.db.write(move |conn| {
            let Some(session) = sessions::find_session(conn, &id)?.filter(may_end) else {
                return Ok(None);
            };
            let ended = sessions::end_session(conn, &session.id, EndReason::LoggedOut, now)?;
            if ended {
                let scene = EventContext { user_id: Some(session.user_id), ..scene };
                let scene = scene.in_session(&session.id);
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
