//! Exchanging a refresh token for the next pair.
//!
//! The successor is derived from the token that is presented. So a second tab that presents the
//! same token a moment later gets the same successor, and nobody is logged out. A token that was
//! replaced longer ago is in the hands of two parties: the session ends.

use super::limits::reserve;
use super::notices::{Notice, order_notice};
use super::tokens::refresh_expiry;
use super::{Error, Flows, Policy, Result, TokenPair};
use crate::domain::{
    Counted, Counter, Device, EndReason, EventKind, PlainToken, RefreshState, Scene, Session,
    TokenHash, Transport, User, UtcTime,
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
    ///
    /// # Errors
    /// A token that comes by another `transport` than it was issued by is unknown, and stays as it is.
    pub fn refresh(
        &self,
        presented: &PlainToken,
        transport: Transport,
        device: &Device,
    ) -> Result<TokenPair> {
        let now = self.now();
        let successor = self.secrets.refresh_successor(presented);
        let (next, policy) = (successor.hash(), self.policy.clone());
        let sent = Presented { hash: presented.hash(), transport };
        let network = Counter::new(Counted::RefreshesOfNetwork, &device.network);
        let (secrets, client) = (self.secrets.clone(), device.clone());
        let exchanged = self.db.write(move |conn| {
            if let Some(bounds) = &policy.limits {
                reserve(conn, &secrets, bounds, vec![network], now)?;
            }
            exchange(conn, &policy, &sent, &next, &client, now)
        })?;
        let outcome = match exchanged {
            Outcome::Refused(Error::RefreshTokenUnknown, None) => {
                self.refuse_forgotten(presented, transport, device, now)?
            }
            outcome => outcome,
        };
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

    /// Refuses a token that has no row. It may have been replaced so long ago that only some of those after
    /// it are kept.
    fn refuse_forgotten(
        &self,
        presented: &PlainToken,
        transport: Transport,
        device: &Device,
        now: UtcTime,
    ) -> Result<Outcome> {
        let Some(id) = self.find_by_successor(presented)? else {
            return Ok(Outcome::Refused(Error::RefreshTokenUnknown, None));
        };
        let (policy, device) = (self.policy.clone(), device.clone());
        self.db.write(move |conn| match sessions::find_session(conn, &id)? {
            Some(session) if session.accepts(transport) => {
                let state = RefreshState::of_forgotten(&session, now);
                refused(conn, &policy, state, session, &device, now)
            }
            _ => Ok(Outcome::Refused(Error::RefreshTokenUnknown, None)),
        })
    }
}

/// A refresh token as it came in.
#[derive(Clone)]
struct Presented {
    hash: TokenHash,
    transport: Transport,
}

fn exchange(
    conn: &mut Conn,
    policy: &Policy,
    presented: &Presented,
    successor: &TokenHash,
    device: &Device,
    now: UtcTime,
) -> Result<Outcome> {
    let Presented { hash, transport } = presented;
    let consumed = sessions::consume_refresh_token(conn, hash, *transport, now)?;
    if let Some((session, generation)) = consumed {
        let expires_at = refresh_expiry(policy, &session, now);
        let generation = generation + 1;
        sessions::insert_refresh_token(conn, successor, &session.id, expires_at, generation)?;
        // Somebody may have logged out since the token was looked at.
        if !sessions::touch_session(conn, &session.id, *transport, now)? {
            return Err(Error::RefreshTokenRevoked);
        }
        return granted(conn, session, expires_at);
    }
    let found = sessions::find_refresh_token(conn, hash)?;
    let Some((token, session)) = found.filter(|(_, session)| session.accepts(*transport)) else {
        return Ok(Outcome::Refused(Error::RefreshTokenUnknown, None));
    };
    let next = sessions::find_refresh_token(conn, successor)?.map(|(token, _)| token);
    match RefreshState::of(&token, &session, next.as_ref(), policy.refresh_grace, now) {
        RefreshState::Repeated => {
            let expires_at = next.map_or(session.expires_at, |next| next.expires_at);
            granted(conn, session, expires_at)
        }
        state => refused(conn, policy, state, session, device, now),
    }
}

fn refused(
    conn: &mut Conn,
    policy: &Policy,
    state: RefreshState,
    session: Session,
    device: &Device,
    now: UtcTime,
) -> Result<Outcome> {
    let error = match state {
        RefreshState::Reused => return end_stolen_session(conn, policy, session, device, now),
        RefreshState::Repeated | RefreshState::Superseded => Error::RefreshTokenSuperseded,
        RefreshState::Revoked => Error::RefreshTokenRevoked,
        // What could be exchanged was exchanged before, unless its time ran out in between.
        RefreshState::Expired | RefreshState::Current => Error::RefreshTokenExpired,
    };
    Ok(Outcome::Refused(error, None))
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
