//! The sessions of a person, to look at and to end.

use super::{Claims, Error, Flows, Result};
use crate::domain::{EndReason, Session, SessionId};
use crate::store::{registrations, sessions};

impl Flows {
    /// The holder's open sessions, the one used last first.
    pub fn list_sessions(&self, claims: &Claims) -> Result<Vec<Session>> {
        let (id, now) = (claims.user_id(), self.now());
        Ok(self.db.read(|conn| sessions::list_open(conn, id, now))?)
    }

    /// Ends one of the holder's sessions.
    pub fn end_session(&self, claims: &Claims, session: SessionId) -> Result<()> {
        let (id, now) = (claims.user_id(), self.now());
        let reason = EndReason::LoggedOut;
        let ended = session.clone();
        let found = self.db.write(move |conn| {
            sessions::end_session_of(conn, id, &session, reason, now).map_err(Error::from)
        })?;
        if !found {
            return Err(Error::NotFound);
        }
        tracing::info!(user_id = id.0, session_id = %ended, "session ended by its owner");
        self.note_ended(id, [ended], reason, now);
        Ok(())
    }

    /// Ends the holder's sessions besides the one that asks.
    pub fn end_other_sessions(&self, claims: &Claims) -> Result<()> {
        let (id, keep, now) = (claims.user_id(), claims.session_id(), self.now());
        let reason = EndReason::LoggedOut;
        let ended = self.db.write(move |conn| {
            // Whoever is thrown out may have asked for another address.
            registrations::delete_changes(conn, id)?;
            Ok::<_, Error>(sessions::end_all_sessions(conn, id, Some(&keep), reason, now)?)
        })?;
        tracing::info!(user_id = id.0, count = ended.len(), "other sessions ended by their owner");
        self.note_ended(id, ended, reason, now);
        Ok(())
    }
}
