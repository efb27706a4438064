//! Exchanging a refresh token for the next pair.
//!
//! The successor is derived from the token that is presented. So a second tab that presents the
//! same token a moment later gets the same successor, and no user is logged out. A token that was
//! replaced longer ago is in the hands of two parties: the session ends.

use std::sync::Arc;

use crate::domain::{
    Counted, Counter, Device, EndReason, EventContext, EventKind, PlainToken, RefreshState,
    RefreshToken, Session, SessionId, TokenHash, Transport, User, UserId, UtcTime,
};
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::sign_in::require_room;
use crate::flows::{Error, Flows, Policy, Result, TokenPair};
use crate::store::outbox::MailKind;
use crate::store::sessions::refresh::{self, Exchange, Exchanged};
use crate::store::sessions::refresh_tokens;
use crate::store::{Conn, challenges, events, sessions, users};

/// Outcome for a presented token.
enum Outcome {
    /// The session gets a pair with this successor.
    Granted(Box<User>, Session, Successor),
    /// The token is current, but was not exchanged: its access tokens may be too long, or the
    /// account is disabled.
    Current,
    /// The request is refused. The session, if given, has just been ended.
    Refused(Error, Option<Session>),
}

impl Flows {
    /// Returns the next pair, or the same next pair again.
    ///
    /// # Errors
    /// A token that comes by another `transport` than that of its session is unknown and is not
    /// changed.
    pub fn refresh(
        &self,
        presented: &PlainToken,
        transport: Transport,
        device: &Device,
    ) -> Result<TokenPair> {
        let now = self.now();
        let successors = self.secrets.refresh_successors(presented);
        let sent = Presented {
            hash: presented.hash(),
            successors: successors.iter().map(PlainToken::hash).collect(),
            transport,
        };
        let exchange = Exchange {
            token: sent.hash.clone(),
            successor: sent.successors[0].clone(),
            transport,
            expires_at: now.after(self.policy.refresh_idle),
            room: i64::MAX,
            now,
        };
        let network = Counter::new(Counted::RefreshesOfNetwork, &device.network);
        let room = self.access_tokens.room_for_names();
        let exchanged = match room {
            Some(room) => {
                let exchange = Exchange { room, ..exchange.clone() };
                let work = move |conn: &mut Conn| Ok(refresh::exchange(conn, &exchange)?);
                self.write_counted(network.clone(), work)
            }
            // The use is counted apart, because it stays counted where the exchange is undone; the
            // counter waits for no disk.
            None => self.count(vec![network.clone()], || self.exchange_checked(exchange.clone())),
        }?;
        self.do_counted(vec![network], || {
            let settle = |exchanged: Option<Exchanged>| match exchanged {
                Some(exchanged) => Ok(exchanged.into()),
                // A concurrent request may have been faster.
                None => self.repeat_or_refuse(presented, sent.clone(), device, now),
            };
            let mut outcome = settle(exchanged)?;
            if matches!(outcome, Outcome::Current) && room.is_some() {
                outcome = settle(self.exchange_checked(exchange)?)?;
            }
            self.answer_refresh(outcome, successors, now)
        })
    }

    /// Exchanges a token if its access tokens stay within the permitted length. Otherwise it stays
    /// current: the transaction is undone.
    fn exchange_checked(&self, exchange: Exchange) -> Result<Option<Exchanged>> {
        let access_tokens = Arc::clone(&self.access_tokens);
        self.db.write(move |conn| {
            let exchanged = refresh::exchange(conn, &exchange)?;
            if let Some(Exchanged { session, user, .. }) = &exchanged {
                require_room(&access_tokens, user, session, exchange.now)?;
            }
            Ok(exchanged)
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
            Outcome::Current => Err(Error::RefreshTokenRevoked),
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

    /// Answers a request whose token could not be exchanged.
    fn repeat_or_refuse(
        &self,
        presented: &PlainToken,
        sent: Presented,
        device: &Device,
        now: UtcTime,
    ) -> Result<Outcome> {
        let (policy, client, transport) =
            (Arc::clone(&self.policy), device.clone(), sent.transport);
        match self.db.write(move |conn| judge_used_token(conn, &policy, &sent, &client, now))? {
            Outcome::Refused(Error::RefreshTokenUnknown, None) => {
                self.refuse_forgotten(presented, transport, device, now)
            }
            outcome => Ok(outcome),
        }
    }

    /// Refuses a token without a row. It may have been replaced so long ago that only some of its
    /// successors are kept.
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
        let (policy, device) = (Arc::clone(&self.policy), device.clone());
        self.db.write(move |conn| match sessions::find_session(conn, &id)? {
            Some(session) if session.accepts(transport) => {
                let state = RefreshState::of_forgotten(&session, now);
                let context = context_of(&session, &device, now);
                refused(conn, &policy, state, session, &context)
            }
            _ => Ok(Outcome::Refused(Error::RefreshTokenUnknown, None)),
        })
    }
}

impl From<Exchanged> for Outcome {
    fn from(Exchanged { session, user, expires_at }: Exchanged) -> Self {
        Self::Granted(Box::new(user), session, Successor { number: 0, expires_at })
    }
}

/// A presented refresh token.
#[derive(Clone)]
struct Presented {
    hash: TokenHash,
    /// Possible successors, the one of today first.
    successors: Vec<TokenHash>,
    transport: Transport,
}

/// The token that replaces another.
struct Successor {
    /// Its position among the possible successors.
    number: usize,
    expires_at: UtcTime,
}

/// Repeats the exchange of a token within the grace period, or refuses the token.
fn judge_used_token(
    conn: &mut Conn,
    policy: &Policy,
    presented: &Presented,
    device: &Device,
    now: UtcTime,
) -> Result<Outcome> {
    let Presented { hash, successors, transport } = presented;
    let found = refresh_tokens::find_refresh_token(conn, hash)?;
    let Some((token, session)) = found.filter(|(_, session)| session.accepts(*transport)) else {
        return Ok(Outcome::Refused(Error::RefreshTokenUnknown, None));
    };
    let next = find_successor(conn, successors)?;
    let (number, next) = next.map_or((0, None), |(number, token)| (number, Some(token)));
    match RefreshState::of(&token, &session, next.as_ref(), policy.refresh_grace, now) {
        RefreshState::Repeated => {
            let expires_at = next.map_or(session.expires_at, |next| next.expires_at);
            granted(conn, session.user_id, &session.id, Successor { number, expires_at }, now)
        }
        state => {
            let context = context_of(&session, device, now);
            refused(conn, policy, state, session, &context)
        }
    }
}

/// Returns the token that replaced another one, with its position among the possible successors.
fn find_successor(
    conn: &mut Conn,
    successors: &[TokenHash],
) -> Result<Option<(usize, RefreshToken)>> {
    for (number, hash) in successors.iter().enumerate() {
        if let Some((token, _)) = refresh_tokens::find_refresh_token(conn, hash)? {
            return Ok(Some((number, token)));
        }
    }
    Ok(None)
}

/// Returns the context of an event that the use of a token of `session` causes.
fn context_of(session: &Session, device: &Device, now: UtcTime) -> EventContext {
    EventContext::of(session.user_id, now).in_session(&session.id).on(device)
}

fn refused(
    conn: &mut Conn,
    policy: &Policy,
    state: RefreshState,
    session: Session,
    context: &EventContext,
) -> Result<Outcome> {
    let error = match state {
        RefreshState::Reused => return end_stolen_session(conn, policy, session, context),
        RefreshState::Repeated | RefreshState::Superseded => Error::RefreshTokenSuperseded,
        RefreshState::Current => return Ok(Outcome::Current),
        RefreshState::Revoked => Error::RefreshTokenRevoked,
        RefreshState::Expired => Error::RefreshTokenExpired,
    };
    Ok(Outcome::Refused(error, None))
}

fn granted(
    conn: &mut Conn,
    user: UserId,
    session: &SessionId,
    next: Successor,
    now: UtcTime,
) -> Result<Outcome> {
    let user = lock_active(conn, user)?.ok_or(Error::RefreshTokenRevoked)?;
    // The session may have ended while this request waited for the account.
    let session = sessions::find_session(conn, session)?;
    let session = session.filter(|it| it.ended_at.is_none()).ok_or(Error::RefreshTokenRevoked)?;
    sessions::record_use(conn, &session.id, now)?;
    Ok(Outcome::Granted(Box::new(user), session, next))
}

fn end_stolen_session(
    conn: &mut Conn,
    policy: &Policy,
    session: Session,
    context: &EventContext,
) -> Result<Outcome> {
    let now = context.at;
    // The account before its sessions, as everywhere: see `lock_for`.
    let owner = users::lock_user(conn, session.user_id)?;
    if sessions::end_session(conn, &session.id, EndReason::TokenReused, now)?
        && let Some(user) = owner
    {
        // The thief may have asked for a change of the address, and would get the account with it.
        challenges::delete_changes(conn, user.id)?;
        events::record(conn, context, EventKind::RefreshTokenReused, "")?;
        let kind = MailKind::RefreshTokenReused;
        let notice = Notice { kind, detail: &session.device.label, reverts_to: None };
        queue_notice(conn, policy, &user, &notice, now)?;
    }
    Ok(Outcome::Refused(Error::RefreshTokenReused, Some(session)))
}
