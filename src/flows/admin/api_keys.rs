//! API keys: superusers create and revoke them over HTTP, operators from the command line.

use std::time::Duration;

use crate::domain::{
    ApiKey, ApiKeyId, Device, EventContext, EventKind, PlainPassword, PlainToken, Scope, UserId,
    UtcTime,
};
use crate::flows::access::require_superuser;
use crate::flows::audit::context_of;
use crate::flows::password::reauthenticate::{lock_for, lock_unchanged};
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::challenges::notices;
use crate::store::{Conn, api_keys, events};

/// An API key to be created.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Name of the service that uses it, shown in lists and in the audit trail.
    pub name: String,
    /// The requests that it permits.
    pub scopes: Vec<Scope>,
    /// The time until it expires; `None`: it does not.
    pub lifetime: Option<Duration>,
}

/// A key with its secret, which is shown once.
#[derive(Debug)]
pub struct CreatedApiKey {
    /// The stored key.
    pub key: ApiKey,
    /// The bearer token (`hpk_…`). Only its hash is stored.
    pub secret: PlainToken,
}

impl Flows {
    /// Creates a key for a superuser. `password` may be missing right after a log-in. It is
    /// required because a key outlives the session.
    pub fn create_api_key(
        &self,
        claims: &Claims,
        new: NewApiKey,
        password: Option<&PlainPassword>,
        device: &Device,
    ) -> Result<CreatedApiKey> {
        let by = self.superuser(claims)?.id;
        let mut created = self.new_api_key(new, Some(by));
        let (key, hash) = (created.key.clone(), created.secret.hash());
        created.key.created_at = self.reauthenticated(claims, password, device, |user| {
            let (context, session) = (context_of(claims, device, self.now()), claims.session_id());
            self.db.write(move |conn| {
                require_superuser(&lock_unchanged(conn, &user, &session)?)?;
                let created_at = notices::time_since_notices(conn, by, key.created_at)?;
                api_keys::insert_key(conn, &ApiKey { created_at, ..key.clone() }, &hash)?;
                events::record(conn, &context, EventKind::ApiKeyCreated, key.id.as_str())?;
                Ok::<_, Error>(created_at)
            })
        })?;
        tracing::info!(by = by.0, api_key = %created.key.id, "API key created");
        Ok(created)
    }

    /// Creates a key for the operator.
    pub fn create_api_key_as_operator(&self, new: NewApiKey) -> Result<CreatedApiKey> {
        let created = self.new_api_key(new, None);
        let (key, hash) = (created.key.clone(), created.secret.hash());
        self.db.write(move |conn| api_keys::insert_key(conn, &key, &hash))?;
        Ok(created)
    }

    /// Lists the keys, the oldest first, for a superuser.
    pub fn list_api_keys(&self, claims: &Claims) -> Result<Vec<ApiKey>> {
        self.superuser(claims)?;
        Ok(self.db.read(api_keys::list_keys)?)
    }

    /// Revokes a key for a superuser. Revoking it again has no effect.
    pub fn revoke_api_key(&self, claims: &Claims, id: ApiKeyId, device: &Device) -> Result<()> {
        let (by, now) = (self.superuser(claims)?.id, self.now());
        let (context, revoked) = (context_of(claims, device, now), id.clone());
        let session = claims.session_id();
        self.db.write(move |conn| {
            require_superuser(&lock_for(conn, by, &session)?)?;
            if revoke(conn, &id, now)? {
                events::record(conn, &context, EventKind::ApiKeyRevoked, id.as_str())?;
            }
            Ok::<_, Error>(())
        })?;
        tracing::info!(by = by.0, api_key = %revoked, "API key revoked");
        Ok(())
    }

    /// Revokes a key for the operator. Returns false if it was already revoked.
    pub fn revoke_api_key_as_operator(&self, id: ApiKeyId) -> Result<bool> {
        let now = self.now();
        self.db.write(move |conn| revoke(conn, &id, now))
    }

    fn new_api_key(&self, new: NewApiKey, created_by: Option<UserId>) -> CreatedApiKey {
        let now = self.now();
        let key = ApiKey {
            id: ApiKeyId::new(now),
            name: new.name,
            // Sorted, each once.
            scopes: Scope::known(&Scope::to_text(&new.scopes)),
            created_by,
            created_at: now,
            expires_at: new.lifetime.map(|lifetime| now.after(lifetime)),
            last_used_at: None,
            revoked_at: None,
        };
        CreatedApiKey { key, secret: PlainToken::random(PlainToken::API_KEY_PREFIX) }
    }
}

/// Revokes the keys that a user created since `since`: a thief of a superuser's session keeps
/// access with one.
pub(crate) fn revoke_created_since(
    conn: &mut Conn,
    context: &EventContext,
    user: UserId,
    since: UtcTime,
) -> Result<()> {
    let is_new = |key: &ApiKey| key.created_by == Some(user) && key.created_at >= since;
    for key in api_keys::list_keys(conn)?.into_iter().filter(is_new) {
        if api_keys::revoke_key(conn, &key.id, context.at)? {
            events::record(conn, context, EventKind::ApiKeyRevoked, key.id.as_str())?;
        }
    }
    Ok(())
}

/// Revokes a key. Returns false if it was already revoked.
fn revoke(conn: &mut Conn, id: &ApiKeyId, now: UtcTime) -> Result<bool> {
    let is_revoked_now = api_keys::revoke_key(conn, id, now)?;
    if !is_revoked_now && api_keys::find_by_id(conn, id)?.is_none() {
        return Err(Error::NotFound);
    }
    Ok(is_revoked_now)
}
