//! Exchanging a refresh token for the next pair.
//!
//! The successor is derived from the token that is presented. So a second tab that presents the
//! same token a moment later gets the same successor, and no user is logged out. A token that was
//! replaced longer ago is in the hands of two parties: the session ends.

use crate::domain::{
    Counted, Counter, Device, EndReason, EventContext, EventKind, PlainToken, RefreshState,
    RefreshToken, Session, TokenHash, Transport, User, UtcTime,
};
use crate::flows::limits::reserve;
use crate::flows::notify::notices::{Notice, order_notice};
use crate::flows::sign_in::refresh_expiry;
use crate::flows::{Error, Flows, Policy, Result, TokenPair};
use crate::store::outbox::MailKind;
use crate::store::{Conn, events, sessions, users};

/// What became of a presented token.
enum Outcome {
    /// The pair of this session is due, with this successor.
    Granted(Box<User>, Session, Successor),
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
        let successors = self.secrets.refresh_successors(presented);
        let policy = self.policy.clone();
        let sent = Presented {
            hash: presented.hash(),
            successors: successors.iter().map(PlainToken::hash).collect(),
            transport,
        };
        let network = vec![Counter::new(Counted::RefreshesOfNetwork, &device.network)];
        let counted = network.clone();
        let (secrets, client) = (self.secrets.clone(), device.clone());
        let bounds = self.bounds();
        let exchanged = self.db.write(move |conn| {
            if let Some(bounds) = &bounds {
                reserve(conn, &secrets, bounds, counted, now)?;
            }
            exchange(conn, &policy, &sent, &client, now)
        })?;
        self.do_counted(network, || {
            let outcome = match exchanged {
                Outcome::Refused(Error::RefreshTokenUnknown, None) => {
                    self.refuse_forgotten(presented, transport, device, now)?
                }
                outcome => outcome,
            };
            self.answer_refresh(outcome, successors, now)
        })
    }

    fn answer_refresh(
        &self,
        outcome: Outcome,
        successors: impl IntoIterator<Item = PlainToken>,
        now: UtcTime,
    ) -> Result<TokenPair> {
        match outcome {
            Outcome::Granted(user, session, next) => {
                let token = successors.into_iter().nth(next.number);
                let token = token.ok_or_else(|| Error::Internal("no such successor".to_owned()))?;
                self.token_pair(&user, &session, token, next.expires_at, now)
            }
            Outcome::Refused(error, ended) => {
                if let Some(session) = ended {
                    let ended = [session.id.clone()];
                    self.note_ended(session.user_id, ended, EndReason::TokenReused, now);
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
    /// What can replace it, what does so now first.
    successors: Vec<TokenHash>,
    transport: Transport,
}

/// The token that replaces another.
struct Successor {
    /// Its place among those that can.
    number: usize,
    expires_at: UtcTime,
}

fn exchange(
    conn: &mut Conn,
    policy: &Policy,
    presented: &Presented,
    device: &Device,
    now: UtcTime,
) -> Result<Outcome> {
    let Presented { hash, successors, transport } = presented;
    let consumed = sessions::consume_refresh_token(conn, hash, *transport, now)?;
    if let Some((session, generation)) = consumed {
        let expires_at = refresh_expiry(policy, &session, now);
        let generation = generation + 1;
        sessions::insert_refresh_token(conn, &successors[0], &session.id, expires_at, generation)?;
        // A user may have logged out since the token was looked at.
        if !sessions::touch_session(conn, &session.id, *transport, now)? {
            return Err(Error::RefreshTokenRevoked);
        }
        return granted(conn, session, Successor { number: 0, expires_at });
    }
    let found = sessions::find_refresh_token(conn, hash)?;
    let Some((token, session)) = found.filter(|(_, session)| session.accepts(*transport)) else {
        return Ok(Outcome::Refused(Error::RefreshTokenUnknown, None));
    };
    let next = find_successor(conn, successors)?;
    let (number, next) = next.map_or((0, None), |(number, token)| (number, Some(token)));
    match RefreshState::of(&token, &session, next.as_ref(), policy.refresh_grace, now) {
        RefreshState::Repeated => {
            let expires_at = next.map_or(session.expires_at, |next| next.expires_at);
            granted(conn, session, Successor { number, expires_at })
        }
        state => refused(conn, policy, state, session, device, now),
    }
}

/// The token that has replaced another one, with its place among those that can have.
fn find_successor(
    conn: &mut Conn,
    successors: &[TokenHash],
) -> Result<Option<(usize, RefreshToken)>> {
    for (number, hash) in successors.iter().enumerate() {
        if let Some((token, _)) = sessions::find_refresh_token(conn, hash)? {
            return Ok(Some((number, token)));
        }
    }
    Ok(None)
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

fn granted(conn: &mut Conn, session: Session, next: Successor) -> Result<Outcome> {
    match users::find_by_id(conn, session.user_id)?.filter(|user| user.is_active) {
        Some(user) => Ok(Outcome::Granted(Box::new(user), session, next)),
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
        let scene = EventContext::of(user.id, now).in_session(&session.id).on(device);
        events::record(conn, &scene, EventKind::RefreshTokenReused, "")?;
        let kind = MailKind::RefreshTokenReused;
        let notice = Notice { kind, detail: &session.device.label, brings_back: None };
        order_notice(conn, policy, &user, user.email.as_ref(), &notice, now)?;
    }
    Ok(Outcome::Refused(Error::RefreshTokenReused, Some(session)))
}
