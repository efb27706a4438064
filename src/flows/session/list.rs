//! The open sessions of a user.

use crate::domain::{
    ChallengeKind, Device, EndReason, EventContext, EventKind, Session, SessionId,
};
use crate::flows::password::reauthenticate::lock_for;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::{challenges, events, sessions};

impl Flows {
    /// Returns the open sessions of the caller, the last used one first.
    pub fn list_sessions(&self, claims: &Claims) -> Result<Vec<Session>> {
        let (id, now) = (claims.user_id(), self.now());
        Ok(self.db.read(|conn| sessions::list_open(conn, id, now))?)
    }

    /// Ends a session of the caller.
    pub fn end_session(&self, claims: &Claims, session: SessionId, device: &Device) -> Result<()> {
        let (id, now) = (claims.user_id(), self.now());
        let context = EventContext::of(id, now).in_session(&session).on(device);
        let reason = EndReason::LoggedOut;
        let (ended, own) = (session.clone(), claims.session_id());
        let found = self.db.write(move |conn| {
            lock_for(conn, id, &own)?;
            let found = sessions::end_session_of(conn, id, &session, reason, now)?;
            if found {
                if session != own {
                    challenges::delete_changes(conn, id)?;
                }
                events::record(conn, &context, EventKind::SessionEnded, "")?;
            }
            Ok::<_, Error>(found)
        })?;
        if !found {
            return Err(Error::NotFound);
        }
        tracing::info!(user_id = id.0, session_id = %ended, "session ended by its owner");
        self.note_ended(id, [ended], reason, now);
        Ok(())
    }

    /// Ends all sessions of the caller except the current one.
    pub fn end_other_sessions(&self, claims: &Claims, device: &Device) -> Result<()> {
        let (id, keep, now) = (claims.user_id(), claims.session_id(), self.now());
        let (reason, context) = (EndReason::LoggedOut, EventContext::of(id, now).on(device));
        let ended = self.db.write(move |conn| {
            lock_for(conn, id, &keep)?;
            // The owner of an ended session may have requested a change of the address, or hold its
            // verification.
            challenges::delete_of_kinds(conn, id, ChallengeKind::OF_ADDRESS)?;
            let ended = sessions::end_all_sessions(conn, id, Some(&keep), reason, now)?;
            for session in &ended {
                let context = context.clone().in_session(session);
                events::record(conn, &context, EventKind::SessionEnded, "")?;
            }
            Ok::<_, Error>(ended)
        })?;
        tracing::info!(user_id = id.0, count = ended.len(), "other sessions ended by their owner");
        self.note_ended(id, ended, reason, now);
        Ok(())
    }
}
