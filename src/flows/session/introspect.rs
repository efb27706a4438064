//! Introspection and revocation of tokens for services (RFC 7662, RFC 7009). All tokens that are
//! not active get the same response.

use std::sync::Arc;

use crate::domain::{EventContext, PlainToken, RefreshState, Scope, SessionId, User, UtcTime};
use crate::flows::session::log_out::end_as_logged_out;
use crate::flows::{Error, Flows, Result};
use crate::security::access_token::VerifiedToken;
use crate::store::sessions::refresh_tokens;
use crate::store::{challenges, sessions, users};

/// State of a token.
#[derive(Debug)]
pub enum Introspection {
    /// The token is not accepted.
    Inactive,
    /// An access token that is accepted.
    Access(Arc<VerifiedToken>),
    /// A refresh token that can be exchanged.
    Refresh(Box<ActiveRefreshToken>),
}

/// A refresh token that can be exchanged.
#[derive(Debug)]
pub struct ActiveRefreshToken {
    /// The owner.
    pub user: User,
    /// The session.
    pub session_id: SessionId,
    /// The client that tokens are issued to.
    pub client_id: String,
    /// Time of its expiry.
    pub expires_at: UtcTime,
}

impl Flows {
    /// Returns the state of a token to a service with the API key `key`.
    pub fn introspect(&self, key: &PlainToken, token: &PlainToken) -> Result<Introspection> {
        self.require_scope(key, Scope::Introspect)?;
        if is_refresh_token(token) {
            let found = self.find_active_refresh_token(token)?;
            return Ok(
                found.map_or(Introspection::Inactive, |it| Introspection::Refresh(Box::new(it)))
            );
        }
        let verified = self.verify_if_active(token)?;
        Ok(verified.map_or(Introspection::Inactive, Introspection::Access))
    }

    /// Ends the session of a token, for a service with the API key `key`. A change of the e-mail
    /// address that waits for its verification is void: the session may have been a thief's.
    pub fn revoke_token(&self, key: &PlainToken, token: &PlainToken) -> Result<()> {
        let key = self.require_scope(key, Scope::Revoke)?;
        let session = if is_refresh_token(token) {
            self.find_session_of(token)?
        } else {
            self.verify_if_active(token)?.map(|token| token.claims.session_id())
        };
        let Some(session) = session else { return Ok(()) };
        let context = EventContext::of(None, self.now()).by_key(&key.id);
        let ended = self.db.write(move |conn| {
            let Some(session) = sessions::find_session(conn, &session)? else { return Ok(None) };
            // The account before its sessions, as everywhere: see `lock_for`.
            let user = session.user_id;
            users::lock_user(conn, user)?;
            let ended = end_as_logged_out(conn, session, context)?;
            if ended.is_some() {
                challenges::delete_changes(conn, user)?;
            }
            Ok::<_, Error>(ended)
        })?;
        self.note_logged_out(ended);
        Ok(())
    }

    fn verify_if_active(&self, token: &PlainToken) -> Result<Option<Arc<VerifiedToken>>> {
        match self.verify_token(token.expose()) {
            Ok(token) => Ok(Some(token)),
            Err(Error::TokenInvalid | Error::TokenExpired | Error::TokenRevoked) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn find_active_refresh_token(&self, token: &PlainToken) -> Result<Option<ActiveRefreshToken>> {
        let (now, grace) = (self.now(), self.policy.refresh_grace);
        let client_id = self.access_tokens.settings().client_id.clone();
        self.db.read(|conn| {
            let found = refresh_tokens::find_refresh_token(conn, &token.hash())?;
            let Some((token, session)) = found else { return Ok(None) };
            if RefreshState::of(&token, &session, None, grace, now) != RefreshState::Current {
                return Ok(None);
            }
            let user = users::find_by_id(conn, session.user_id)?.filter(|user| user.is_active);
            Ok(user.map(|user| ActiveRefreshToken {
                user,
                session_id: session.id,
                client_id,
                expires_at: token.expires_at,
            }))
        })
    }
}

fn is_refresh_token(token: &PlainToken) -> bool {
    token.expose().starts_with(PlainToken::REFRESH_PREFIX)
}
