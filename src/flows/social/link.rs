//! Linking an identity to the account of a user who is logged in.

use super::finish::FinishedFlow;
use super::identities::link_identity;
use super::log_in::{IdentityLogIn, notify_of_link};
use crate::domain::{FlowOutcome, Identity, ProviderIdentity};
use crate::flows::audit::context_of;
use crate::flows::password::reauthenticate::lock_for;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::identities;

impl Flows {
    /// Links an identity to the account of `claims`, unless it is linked to it already.
    ///
    /// # Errors
    /// [`Error::IdentityConflict`] if it is linked to another account.
    pub(super) fn link_to_user(
        &self,
        log_in: IdentityLogIn,
        claims: &Claims,
        identity: Identity,
    ) -> Result<FinishedFlow> {
        let (id, session) = (claims.user_id(), claims.session_id());
        let context = context_of(claims, &log_in.sign_in.client.device, log_in.sign_in.now);
        let email = identity.email;
        let identity = ProviderIdentity { provider: log_in.provider.clone(), key: identity.key };
        self.db.write(move |conn| {
            let user = lock_for(conn, id, &session)?;
            log_in.one_time_use.use_up(conn, FlowOutcome::Linked, None)?;
            match identities::find_by_key(conn, &identity.key)? {
                Some(linked) if linked.user_id == id => return Ok(()),
                Some(_) => return Err(Error::IdentityConflict),
                None => {}
            }
            notify_of_link(conn, &log_in, &user)?;
            link_identity(conn, &context, id, &identity, email.as_ref())
        })?;
        tracing::info!(user_id = id.0, "identity linked");
        Ok(FinishedFlow::Linked)
    }
}
