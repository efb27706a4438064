//! Log-out by a refresh token. As in RFC 7009, an unknown token is no error.

use crate::domain::{
    Device, EndReason, EventContext, EventKind, PlainToken, RefreshToken, Session, SessionId,
    TokenHash, Transport,
};
use crate::flows::{Error, Flows, Result};
use crate::store::sessions::refresh_tokens;
use crate::store::{events, sessions};

impl Flows {
    /// Ends the session of `token`, if there is one. A replaced token still identifies its session.
    /// A token of another transport than `transport` counts as unknown.
    pub fn log_out(&self, token: &PlainToken, transport: Transport, device: &Device) -> Result<()> {
        let Some(id) = self.find_session_of(token)? else { return Ok(()) };
        let context = EventContext::of(None, self.now()).on(device);
        self.end_as_logged_out(id, context, move |session| session.accepts(transport))
    }

    /// Finds the session of a refresh token, which may have been replaced long ago.
    pub(super) fn find_session_of(&self, token: &PlainToken) -> Result<Option<SessionId>> {
        match self.db.read(|conn| refresh_tokens::find_refresh_token(conn, &token.hash()))? {
            Some((_, session)) => Ok(Some(session.id)),
            None => self.find_by_successor(token),
        }
    }

    /// Finds the session of a refresh token whose row was purged, by the successors that are kept.
    /// For a forged token this reads several rows, so it runs outside the write transaction.
    pub(super) fn find_by_successor(&self, token: &PlainToken) -> Result<Option<SessionId>> {
        let later = self.secrets.later_refresh_tokens(token, RefreshToken::LANDMARK);
        let hashes: Vec<TokenHash> = later.iter().map(PlainToken::hash).collect();
        Ok(self.db.read(|conn| refresh_tokens::find_session_of_any(conn, &hashes))?)
    }

    /// Ends a session if `may_end` returns true for it, and records it in the context `context`.
    pub(super) fn end_as_logged_out(
        &self,
        id: SessionId,
        context: EventContext,
        may_end: impl FnOnce(&Session) -> bool + Clone + Send + 'static,
    ) -> Result<()> {
        let now = context.at;
        let ended = self.db.write(move |conn| {
            let Some(session) = sessions::find_session(conn, &id)?.filter(may_end) else {
                return Ok(None);
            };
            let ended = sessions::end_session(conn, &session.id, EndReason::LoggedOut, now)?;
            if ended {
                let context = EventContext { user_id: Some(session.user_id), ..context };
                let context = context.in_session(&session.id);
                events::record(conn, &context, EventKind::LoggedOut, "")?;
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
