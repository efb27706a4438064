//! The identities of an account.

use std::sync::Arc;

use super::ListedIdentity;
use crate::domain::{
    Device, Email, EventContext, EventKind, IdentityId, LinkedIdentity, ProviderIdentity, UserId,
    UtcTime,
};
use crate::flows::audit::context_of;
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::password::reauthenticate::lock_for;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::challenges::notices;
use crate::store::identities::{self, Unlinking};
use crate::store::outbox::MailKind;
use crate::store::{self, Conn, events};

impl Flows {
    /// Lists the holder's identities, the oldest first.
    pub fn list_identities(&self, claims: &Claims) -> Result<Vec<ListedIdentity>> {
        let id = claims.user_id();
        let identities = self.db.read(|conn| identities::list_of_user(conn, id))?;
        Ok(self.social.listed(identities))
    }

    /// Unlinks one of the holder's identities. Needs a recent log-in.
    ///
    /// # Errors
    /// [`Error::LastLoginMethod`] if the account has neither a password nor another identity of a
    /// configured provider.
    pub fn unlink_identity(
        &self,
        claims: &Claims,
        identity: IdentityId,
        device: &Device,
    ) -> Result<()> {
        self.check_again(claims, None, device)?;
        let (id, session, now) = (claims.user_id(), claims.session_id(), self.now());
        let context = context_of(claims, device, now);
        let (policy, social) = (Arc::clone(&self.policy), Arc::clone(&self.social));
        self.db.write(move |conn| {
            let user = lock_for(conn, id, &session)?;
            let logs_in = |issuer: &str| social.logs_in(issuer);
            let unlinked = match identities::unlink_unless_last(conn, id, &identity, logs_in)? {
                Unlinking::Unlinked(identity) => identity,
                Unlinking::LastLoginMethod => return Err(Error::LastLoginMethod),
                Unlinking::Unknown => return Err(Error::NotFound),
            };
            events::record(conn, &context, EventKind::IdentityUnlinked, &unlinked.provider)?;
            let detail = social.display_name(&unlinked.provider);
            let notice = Notice { kind: MailKind::IdentityUnlinked, detail, reverts_to: None };
            queue_notice(conn, &policy, &user, &notice, now)
        })?;
        tracing::info!(user_id = id.0, "identity unlinked");
        Ok(())
    }
}

/// Unlinks the identities of an account that were linked since `since`, or all.
pub(crate) fn unlink_identities(
    conn: &mut Conn,
    context: &EventContext,
    user: UserId,
    since: Option<UtcTime>,
) -> store::Result<()> {
    let since = since.unwrap_or(UtcTime::from_micros(0));
    for identity in identities::unlink_since(conn, user, since)? {
        events::record(conn, context, EventKind::IdentityUnlinked, &identity.provider)?;
    }
    Ok(())
}

/// Links an identity to the locked account of `context`, which is using it now. Its time is no
/// earlier than that of the notices so far, so that a report by the link of any of them unlinks it.
///
/// # Errors
/// [`Error::IdentityConflict`] if it is linked to another account.
pub(crate) fn link_identity(
    conn: &mut Conn,
    context: &EventContext,
    user: UserId,
    identity: &ProviderIdentity,
    email: Option<&Email>,
) -> Result<()> {
    let linked = LinkedIdentity {
        id: IdentityId::new(context.at),
        user_id: user,
        provider: identity.provider.clone(),
        key: identity.key.clone(),
        email: email.map(|email| email.as_str().to_owned()),
        created_at: notices::time_since_notices(conn, user, context.at)?,
        last_used_at: Some(context.at),
    };
    identities::insert(conn, &linked)?;
    Ok(events::record(conn, context, EventKind::IdentityLinked, &identity.provider)?)
}
