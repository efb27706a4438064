//! The revocation list: this instance's own revocations, and the list for services that check
//! tokens themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{EndReason, EndedSession, SessionId, User, UserId, UtcTime};
use crate::flows::{Flows, Result};
use crate::security::access_token::TokenError;
use crate::security::revocations::Ended;
use crate::store::Conn;
use crate::store::users::rights;

impl Flows {
    /// Returns the sessions and users that were revoked, or those that were revoked at or after
    /// `since`, as of the version `asked` or a later one.
    ///
    /// # Errors
    /// [`crate::flows::Error::Unavailable`] when this instance cannot know.
    pub fn list_revocations(&self, asked: u64, since: Option<UtcTime>) -> Result<Arc<Ended>> {
        let ended = self.access_tokens.revocations.list_as_of(asked, since, self.now());
        ended.ok_or_else(|| TokenError::RevocationsStale.into())
    }

    /// Returns the version of the list, which increases with each change.
    pub fn revocations_version(&self) -> u64 {
        self.access_tokens.revocations.version()
    }

    /// Returns whether [`Self::list_revocations`] takes a moment only.
    pub fn are_revocations_at_hand(&self, since: Option<UtcTime>) -> bool {
        self.access_tokens.revocations.is_at_hand(since)
    }

    /// Returns whether no revocation is earlier than `since`: then the list is the whole, which
    /// many clients ask for.
    pub fn are_all_revocations_since(&self, since: Option<UtcTime>) -> bool {
        self.access_tokens.revocations.are_all_since(since)
    }

    /// Time for which a revocation stays listed.
    pub fn revocation_window(&self) -> Duration {
        self.access_tokens.revocations.keep()
    }

    /// Makes this instance refuse the access tokens of sessions that were just ended. Other
    /// instances read them from the database.
    pub(in crate::flows) fn note_ended(
        &self,
        user_id: UserId,
        sessions: impl IntoIterator<Item = SessionId>,
        reason: EndReason,
        at: UtcTime,
    ) {
        let ended = |id| EndedSession { id, user_id, at, reason: Some(reason) };
        self.access_tokens.revocations.add(sessions.into_iter().map(ended), at);
    }

    /// Makes this instance refuse the access tokens with earlier rights of `user`. Other instances
    /// read the change from the database.
    pub(crate) fn note_rights(&self, user: &User) {
        self.access_tokens.revocations.change_rights(user.id, user.rights_changed_at);
    }

    /// Writes like [`Db::write`](crate::store::Db::write), where the work may change the rights of
    /// users other than the one it is about, such as a user who loses the user name to the owner of
    /// an address (`store/users/released_names.rs`). This instance then refuses the access tokens
    /// with the old rights at once.
    pub(crate) fn write_accounts<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let outcome = self.db.write(work)?;
        self.learn_renewed_rights();
        Ok(outcome)
    }

    /// Reads changed rights. After a failure, the next synchronization does it.
    fn learn_renewed_rights(&self) {
        let revocations = &self.access_tokens.revocations;
        let since = revocations.unseen_since(self.now());
        match self.db.read(|conn| rights::list_rights_changed_since(conn, since)) {
            Ok(rights) => rights
                .into_iter()
                .for_each(|(user, generation)| revocations.change_rights(user, generation)),
            Err(error) => {
                tracing::warn!(%error, "changed rights cannot be read; the next sync reads them");
            }
        }
    }
}
