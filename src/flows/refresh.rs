//! Exchanging a refresh token for the next pair.
//!
//! The successor is derived from the token that is presented. So a second tab that presents the
//! same token a moment later gets the same successor, and nobody is logged out. A token that was
//! replaced longer ago is in the hands of two parties: the session ends.

use super::limits::reserve;
use super::notices::{Notice, order_notice};
use super::tokens::{find_by_successor, refresh_expiry};
use super::{Error, Flows, Policy, Result, TokenPair};
use crate::domain::token::Secrets;
use crate::domain::{
    Counted, Counter, Device, EndReason, EventKind, PlainToken, RefreshState, Scene, Session, User,
    UtcTime,
};
use crate::store::outbox::MailKind;
use crate::store::{Conn, events, sessions, users};

/// What became of a presented token.
enum Outcome {
    /// The pair of this session is due, with the successor that expires then.
    Granted(Box<User>, Session, UtcTime),
    /// No pair; the session was ended just now if it is named.
    Refused(Error, Option<Session>),
}

impl Flows {
    /// The next pair, or the same next pair again.
    pub fn refresh(&self, presented: &PlainToken, device: &Device) -> Result<TokenPair> {
        let now = self.now();
        let successor = self.secrets.refresh_successor(presented);
        let (presented, policy) = (presented.clone(), self.policy.clone());
        let network = Counter::new(Counted::RefreshesOfNetwork, &device.network);
        let (secrets, device) = (self.secrets.clone(), device.clone());
        let outcome = self.db.write(move |conn| {
            if let Some(bounds) = &policy.limits {
                reserve(conn, &secrets, bounds, vec![network], now)?;
            }
            exchange(conn, &policy, &secrets, &presented, &device, now)
        })?;
        match outcome {
            Outcome::Granted(user, session, expires_at) => {
                self.token_pair(&user, &session, successor, expires_at, now)
            }
            Outcome::Refused(error, ended) => {
                if let Some(session) = ended {
                    let ended = [session.id.clone()];
                    self.note_ended(session.user_id, ended, EndReason::TokenReused, now);
                    self.mail_ordered.notify_one();
                    tracing::warn!(
                        user_id = session.user_id.0,
                        session_id = %session.id,
                        "a replaced refresh token was used again; the session was ended"
                    );
                }
                Err(error)
            }
        }
    }
}

fn exchange(
    conn: &mut Conn,
    policy: &Policy,
    secrets: &Secrets,
    presented: &PlainToken,
    device: &Device,
    now: UtcTime,
) -> Result<Outcome> {
    let (hash, successor) = (presented.hash(), secrets.refresh_successor(presented).hash());
    if let Some((session, generation)) = sessions::consume_refresh_token(conn, &hash, now)? {
        let expires_at = refresh_expiry(policy, &session, now);
        let generation = generation + 1;
        sessions::insert_refresh_token(conn, &successor, &session.id, expires_at, generation)?;
        // Somebody may have logged out since the token was looked at.
        if !sessions::touch_session(conn, &session.id, now)? {
            return Err(Error::RefreshTokenRevoked);
        }
        return granted(conn, session, expires_at);
    }
    let (state, session, next) = match sessions::find_refresh_token(conn, &hash)? {
        Some((token, session)) => {
            let next = sessions::find_refresh_token(conn, &successor)?.map(|(token, _)| token);
            let grace = policy.refresh_grace;
            (RefreshState::of(&token, &session, next.as_ref(), grace, now), session, next)
        }
        None => match find_by_successor(conn, secrets, presented)? {
            Some(session) => (RefreshState::of_forgotten(&session, now), session, None),
            None => return Ok(Outcome::Refused(Error::RefreshTokenUnknown, None)),
        },
    };
    match state {
        RefreshState::Repeated => {
            let expires_at = next.map_or(session.expires_at, |next| next.expires_at);
            granted(conn, session, expires_at)
        }
        RefreshState::Superseded => Ok(Outcome::Refused(Error::RefreshTokenSuperseded, None)),
        RefreshState::Reused => end_stolen_session(conn, policy, session, device, now),
        RefreshState::Revoked => Ok(Outcome::Refused(Error::RefreshTokenRevoked, None)),
        // What could be exchanged was exchanged above, unless its time ran out in between.
        RefreshState::Expired | RefreshState::Current => {
            Ok(Outcome::Refused(Error::RefreshTokenExpired, None))
        }
    }
}

fn granted(conn: &mut Conn, session: Session, expires_at: UtcTime) -> Result<Outcome> {
    match users::find_by_id(conn, session.user_id)?.filter(|user| user.is_active) {
        Some(user) => Ok(Outcome::Granted(Box::new(user), session, expires_at)),
        None => Err(Error::RefreshTokenRevoked),
    }
}

fn end_stolen_session(
    conn: &mut Conn,
    policy: &Policy,
    session: Session,
    device: &Device,
    now: UtcTime,
) -> Result<Outcome> {
    // The account before its sessions, as everywhere: see `lock_for`.
    let owner = users::lock_user(conn, session.user_id)?;
    if sessions::end_session(conn, &session.id, EndReason::TokenReused, now)?
        && let Some(user) = owner
    {
        let scene = Scene::of(user.id, now).in_session(&session.id).on(device);
        events::record(conn, &scene, EventKind::RefreshTokenReused, "")?;
        let kind = MailKind::RefreshTokenReused;
        let notice = Notice { kind, detail: &session.device.label, brings_back: None };
        order_notice(conn, policy, &user, user.email.as_ref(), &notice, now)?;
    }
    Ok(Outcome::Refused(Error::RefreshTokenReused, Some(session)))
}
