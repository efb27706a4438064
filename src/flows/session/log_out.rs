//! Log-out by a refresh token. As in RFC 7009, an unknown token is no error.

use crate::domain::{
    Device, EndReason, EventContext, EventKind, PlainToken, RefreshToken, Session, SessionId,
    TokenHash, Transport, UtcTime,
};
use crate::flows::{Flows, Result};
use crate::store::sessions::refresh_tokens;
use crate::store::{Conn, events, sessions};

impl Flows {
    /// Ends the session of `token`, if there is one. A replaced token still identifies its session.
    /// A token of another transport than `transport` counts as unknown.
    pub fn log_out(&self, token: &PlainToken, transport: Transport, device: &Device) -> Result<()> {
        let Some(id) = self.find_session_of(token)? else { return Ok(()) };
        let context = EventContext::of(None, self.now()).on(device);
        let ended = self.db.write(move |conn| {
            let session = sessions::find_session(conn, &id)?;
            match session.filter(|session| session.accepts(transport)) {
                Some(session) => end_as_logged_out(conn, session, context),
                None => Ok(None),
            }
        })?;
        self.note_logged_out(ended);
        Ok(())
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

    /// Revokes the access tokens of a session that [`end_as_logged_out`] ended.
    pub(super) fn note_logged_out(&self, ended: Option<Ended>) {
        if let Some(Ended { session, at }) = ended {
            self.note_ended(session.user_id, [session.id.clone()], EndReason::LoggedOut, at);
            tracing::info!(user_id = session.user_id.0, session_id = %session.id, "logged out");
        }
    }
}

/// A session with the time of its end.
pub(super) struct Ended {
    session: Session,
    at: UtcTime,
}

/// Ends a session and records it in the context `context`. Returns `None` if it had ended before.
pub(super) fn end_as_logged_out(
    conn: &mut Conn,
    session: Session,
    context: EventContext,
) -> Result<Option<Ended>> {
    let at = context.at;
    if !sessions::end_session(conn, &session.id, EndReason::LoggedOut, at)? {
        return Ok(None);
    }
    let context = EventContext { user_id: Some(session.user_id), ..context };
    events::record(conn, &context.in_session(&session.id), EventKind::LoggedOut, "")?;
    Ok(Some(Ended { session, at }))
}
