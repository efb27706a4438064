//! What logging in comes down to: a session, a refresh token and an access token.

use std::time::Duration;

use crate::domain::{
    Device, EndReason, EndedSession, EventContext, EventKind, PlainToken, RefreshToken, Session,
    SessionId, TokenHash, TokenId, Transport, User, UserId, UtcTime,
};
use crate::flows::{Flows, Policy, Result};
use crate::security::access_token::Claims;
use crate::store::{self, Conn, events, sessions};

/// The tokens a client gets (names of RFC 6749).
#[derive(Debug)]
pub struct TokenPair {
    /// A JWT that proves who its holder is.
    pub access_token: String,
    /// How long the access token counts.
    pub expires_in: Duration,
    /// What the next pair is got with.
    pub refresh_token: PlainToken,
    /// How long the refresh token counts if nobody uses it.
    pub refresh_expires_in: Duration,
    /// The session both belong to.
    pub session_id: SessionId,
}

/// A session that was just opened, and those that had to make room for it.
pub(super) struct OpenedSession {
    pub(super) session: Session,
    pub(super) ended: Vec<SessionId>,
}

/// The first refresh token of a session, and how it and its successors travel.
#[derive(Clone)]
pub(super) struct FirstToken {
    pub(super) hash: TokenHash,
    pub(super) transport: Transport,
}

/// Opens a session for `user`. Beyond the number a person may have, the oldest end.
pub(super) fn open_session(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    amr: &str,
    device: &Device,
    first: &FirstToken,
    now: UtcTime,
) -> store::Result<OpenedSession> {
    let session = Session {
        id: SessionId::new(now),
        user_id: user.id,
        amr: amr.to_owned(),
        device: device.clone(),
        created_at: now,
        last_seen_at: now,
        expires_at: now.after(policy.session_lifetime),
        ended_at: None,
        end_reason: None,
        transport: Some(first.transport),
    };
    sessions::insert_session(conn, &session)?;
    let expires_at = refresh_expiry(policy, &session, now);
    sessions::insert_refresh_token(conn, &first.hash, &session.id, expires_at, 0)?;
    let keep = i64::from(policy.sessions_per_user);
    let ended = sessions::end_oldest_sessions(conn, user.id, keep, now)?;
    let scene = EventContext::of(user.id, now).on(device);
    events::record(conn, &scene.clone().in_session(&session.id), EventKind::LoggedIn, amr)?;
    for session in &ended {
        let scene = scene.clone().in_session(session);
        events::record(conn, &scene, EventKind::SessionEnded, EndReason::TooMany.name())?;
    }
    Ok(OpenedSession { session, ended })
}

/// A refresh token lasts until nobody has used it for a while, and never longer than its session.
pub(super) fn refresh_expiry(policy: &Policy, session: &Session, now: UtcTime) -> UtcTime {
    now.after(policy.refresh_idle).min(session.expires_at)
}

impl Flows {
    /// Finds the session of a refresh token that was replaced so long ago that only some of those after it
    /// are kept. For a token that was made up this reads several rows in vain, so it is no part of a write.
    pub(super) fn find_by_successor(&self, token: &PlainToken) -> Result<Option<SessionId>> {
        let later = self.secrets.later_refresh_tokens(token, RefreshToken::LANDMARK);
        let hashes: Vec<TokenHash> = later.iter().map(PlainToken::hash).collect();
        Ok(self.db.read(|conn| sessions::find_session_of_any(conn, &hashes))?)
    }

    /// The pair for `session`, whose refresh token is `refresh_token`.
    pub(super) fn token_pair(
        &self,
        user: &User,
        session: &Session,
        refresh_token: PlainToken,
        refresh_expires_at: UtcTime,
        now: UtcTime,
    ) -> Result<TokenPair> {
        let lifetime = self.access_tokens.lifetime();
        let claims = Claims {
            iss: self.access_tokens.issuer().to_owned(),
            aud: self.access_tokens.issuer().to_owned(),
            sub: user.id.to_string(),
            client_id: self.access_tokens.client_id().to_owned(),
            iat: now.seconds(),
            nbf: 0,
            exp: now.after(lifetime).seconds(),
            jti: TokenId::new(now).0,
            sid: session.id.0.clone(),
            user_id: user.id.0,
            username: user.username.as_str().to_owned(),
            email: user.email_text().to_owned(),
            email_verified: user.email_verified,
            is_staff: user.is_staff,
            amr: vec![session.amr.clone()],
            auth_time: session.created_at.seconds(),
            rights: user.rights_changed_at.micros(),
        };
        Ok(TokenPair {
            access_token: self.access_tokens.sign(&claims, now)?,
            expires_in: lifetime,
            refresh_token,
            refresh_expires_in: refresh_expires_at.remaining(now),
            session_id: session.id.clone(),
        })
    }

    /// Makes this instance refuse the access tokens of sessions that were just ended. The others
    /// learn of it from the database.
    pub(super) fn note_ended(
        &self,
        user_id: UserId,
        sessions: impl IntoIterator<Item = SessionId>,
        reason: EndReason,
        at: UtcTime,
    ) {
        let ended = |id| EndedSession { id, user_id, at, reason: Some(reason) };
        self.access_tokens.revocations.add(sessions.into_iter().map(ended), at);
    }

    /// Makes this instance refuse the access tokens that tell earlier rights of `user`. The others learn of
    /// it from the database.
    pub(super) fn note_rights(&self, user: &User) {
        self.access_tokens.revocations.change_rights(user.id, user.rights_changed_at);
    }

    /// The pair of a session that was just opened.
    pub(super) fn first_pair(
        &self,
        user: &User,
        opened: &OpenedSession,
        refresh_token: PlainToken,
        now: UtcTime,
    ) -> Result<TokenPair> {
        self.note_ended(user.id, opened.ended.iter().cloned(), EndReason::TooMany, now);
        let expires_at = refresh_expiry(&self.policy, &opened.session, now);
        self.token_pair(user, &opened.session, refresh_token, expires_at, now)
    }
}
