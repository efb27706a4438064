//! Sign-in: the one place that opens sessions, with their refresh tokens and access tokens.

use std::sync::Arc;
use std::time::Duration;

use super::notify::notices::{Notice, queue_notice};
use super::{Error, Flows, Policy, Result};
use crate::domain::secrets::FirstTokens;
use crate::domain::{
    Amr, CLOCKS_DIFFER, Device, EndReason, EventContext, EventKind, PlainToken, Session, SessionId,
    Transport, User, UtcTime,
};
use crate::security::access_token::{AccessTokens, Claims, TokenSettings};
use crate::store::outbox::MailKind;
use crate::store::sessions::opening::{Opened, Opening, open_session};
use crate::store::sessions::refresh_tokens;
use crate::store::{Conn, events, sessions};

/// Number of known devices that are kept per user.
const KNOWN_DEVICES: i64 = 20;

/// The tokens of a client, with the names of RFC 6749.
#[derive(Debug)]
pub struct TokenPair {
    /// The access token, a JWT.
    pub access_token: String,
    /// Time until the `iat` of the access token, which the response waits for.
    pub issued_in: Duration,
    /// Lifetime of the access token.
    pub expires_in: Duration,
    /// The refresh token.
    pub refresh_token: PlainToken,
    /// Lifetime of the refresh token if it is not used.
    pub refresh_expires_in: Duration,
    /// The session of both.
    pub session_id: SessionId,
}

/// Tokens of a session, and the token of the device.
#[derive(Debug)]
pub struct LoggedIn {
    /// The tokens.
    pub tokens: TokenPair,
    /// The token that makes this device a known one at the next log-in.
    pub device_token: PlainToken,
}

/// Result of a log-in. [`SecondFactor`] has no variants yet, so callers take the session with an
/// irrefutable pattern. With the first variant, the compiler names each of these callers.
#[derive(Debug)]
pub enum LogInOutcome<T = LoggedIn> {
    /// A session was opened.
    LoggedIn(T),
    /// The user must show a second factor first.
    SecondFactorRequired(SecondFactor),
}

impl<T> LogInOutcome<T> {
    /// Returns the label in the metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::LoggedIn(_) => "succeeded",
            Self::SecondFactorRequired(_) => "second_factor_required",
        }
    }
}

/// Second factor that a log-in waits for. There is no kind yet, so no log-in can ask for one.
#[derive(Debug)]
pub enum SecondFactor {}

/// The client of a log-in.
#[derive(Clone, Debug, Default)]
pub struct LoginContext {
    /// The device as it describes itself.
    pub device: Device,
    /// The device token of an earlier log-in.
    pub device_token: Option<PlainToken>,
}

/// A client's sign-in. [`SignIn::open`] is the one place that opens sessions.
#[derive(Clone)]
pub(super) struct SignIn {
    /// Authentication methods that the user passed.
    pub(super) amr: Amr,
    /// The client.
    pub(super) client: LoginContext,
    /// Transport of the refresh token and its successors.
    pub(super) transport: Transport,
    /// Tokens that the client is handed.
    pub(super) tokens: FirstTokens,
    /// Time of the sign-in.
    pub(super) now: UtcTime,
    /// The operator's choices.
    pub(super) policy: Arc<Policy>,
    access_tokens: Arc<AccessTokens>,
}

/// A session with what its client is handed.
pub(super) struct SignedIn {
    pub(super) session: Session,
    pub(super) refresh_token: PlainToken,
    pub(super) refresh_expires_at: UtcTime,
    pub(super) device_token: PlainToken,
    /// Sessions that were ended because the user had too many.
    pub(super) ended: Vec<SessionId>,
}

impl SignIn {
    /// Opens a session of `user` in the caller's transaction: stores the device, notifies the user
    /// of a new device, and ends the oldest sessions beyond the permitted number.
    ///
    /// # Errors
    /// [`Error::TokenTooLarge`] if services would not accept the access tokens of the session.
    pub(super) fn open(self, conn: &mut Conn, user: &User) -> Result<LogInOutcome<SignedIn>> {
        let Self { amr, client, transport, tokens, now, policy, access_tokens } = self;
        let session = Session {
            id: SessionId::new(now),
            user_id: user.id,
            amr,
            device: client.device,
            created_at: now,
            last_seen_at: now,
            expires_at: now.after(policy.session_lifetime),
            ended_at: None,
            end_reason: None,
            transport: Some(transport),
        };
        require_room(&access_tokens, user, &session, now)?;
        let refresh_expires_at = refresh_expiry(&policy, &session, now);
        let opening = Opening {
            session: &session,
            refresh_token: tokens.refresh.hash(),
            refresh_expires_at,
            // The presented token may be of another user, or forged.
            presented: client.device_token.as_ref().map(PlainToken::hash),
            device: tokens.device.hash(),
            keep_devices: KNOWN_DEVICES,
            keep_sessions: i64::from(policy.sessions_per_user),
        };
        let Opened { is_known_device, knows_label, ended } = open_session(conn, &opening)?;
        record_ended(conn, &session, &ended)?;
        let is_new_device = !is_known_device && knows_label == Some(false);
        // The user has just used a mail, so needs no second one about it.
        if is_new_device && !session.amr.is_email_only() {
            let detail = &session.device.label;
            let notice = Notice { kind: MailKind::NewDevice, detail, reverts_to: None };
            queue_notice(conn, &policy, user, &notice, now)?;
        }
        let known = client.device_token.filter(|_| is_known_device);
        let device_token = known.unwrap_or(tokens.device);
        let refresh_token = tokens.refresh;
        let signed_in =
            SignedIn { session, refresh_token, refresh_expires_at, device_token, ended };
        Ok(LogInOutcome::LoggedIn(signed_in))
    }
}

/// Returns the tokens whose session a challenge has already opened, or else the first ones.
pub(super) fn earlier_or_first(conn: &mut Conn, tokens: Vec<FirstTokens>) -> Result<FirstTokens> {
    for token in tokens.iter().skip(1) {
        if refresh_tokens::find_refresh_token(conn, &token.refresh.hash())?.is_some() {
            return Ok(token.clone());
        }
    }
    let first = tokens.into_iter().next();
    first.ok_or_else(|| Error::Internal("no secret to derive tokens from".to_owned()))
}

/// Repetitions of a request that opened a session, after the first refresh token was used.
#[derive(Clone, Copy)]
pub(super) enum Repetition {
    /// The repetition may come from another device, whose log-out must not end the first session.
    /// It opens another session.
    OnAnyDevice,
    /// The repetition comes from the same browser. The session gets one more refresh token.
    InSameBrowser,
}

/// Opens the session of a verification or a social log-in of a locked user. A repetition returns
/// the same session while its refresh token is unused and has the same transport. Afterwards
/// `repetition` decides; with another transport a new session is opened. After the end of the first
/// session, for example by a log-out, none is.
pub(super) fn sign_in_once(
    conn: &mut Conn,
    user: &User,
    mut sign_in: SignIn,
    repetition: Repetition,
) -> Result<LogInOutcome<SignedIn>> {
    let earlier = refresh_tokens::find_refresh_token(conn, &sign_in.tokens.refresh.hash())?;
    let Some((token, session)) = earlier else { return sign_in.open(conn, user) };
    if session.ended_at.is_some() {
        return Err(Error::OneTimeTokenInvalid);
    }
    let now = sign_in.now;
    let is_unused = token.used_at.is_none() && now < token.expires_at;
    let may_continue = match repetition {
        Repetition::OnAnyDevice => is_unused,
        Repetition::InSameBrowser => now < session.expires_at,
    };
    if !may_continue || !session.accepts(sign_in.transport) {
        sign_in.tokens.refresh = PlainToken::random(PlainToken::REFRESH_PREFIX);
        return sign_in.open(conn, user);
    }
    require_room(&sign_in.access_tokens, user, &session, now)?;
    sessions::record_use(conn, &session.id, now)?;
    let (refresh_token, refresh_expires_at) = if is_unused {
        (sign_in.tokens.refresh, token.expires_at)
    } else {
        // Beside the successors of the first token, which the client may hold: a tab that used one
        // token and a tab that used the other both stay logged in.
        let further = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let expires_at = refresh_expiry(&sign_in.policy, &session, now);
        refresh_tokens::insert_refresh_token(conn, &further.hash(), &session.id, expires_at, 0)?;
        (further, expires_at)
    };
    let device_token = sign_in.tokens.device;
    let ended = Vec::new();
    Ok(LogInOutcome::LoggedIn(SignedIn {
        session,
        refresh_token,
        refresh_expires_at,
        device_token,
        ended,
    }))
}

/// Records the sessions that a sign-in ended.
fn record_ended(conn: &mut Conn, session: &Session, ended: &[SessionId]) -> Result<()> {
    let context = EventContext::of(session.user_id, session.created_at).on(&session.device);
    for id in ended {
        let context = context.clone().in_session(id);
        events::record(conn, &context, EventKind::SessionEnded, EndReason::TooMany.name())?;
    }
    Ok(())
}

/// Returns the expiry of a refresh token: after its idle time, and no later than that of its
/// session.
pub(super) fn refresh_expiry(policy: &Policy, session: &Session, now: UtcTime) -> UtcTime {
    now.after(policy.refresh_idle).min(session.expires_at)
}

/// Returns the claims of an access token of `session`.
fn claims_of(settings: &TokenSettings, user: &User, session: &Session, now: UtcTime) -> Claims {
    Claims {
        sid: session.id.0.clone(),
        amr: session.amr.names().to_vec(),
        auth_time: session.created_at.seconds(),
        ..settings.claims_of(user, now)
    }
}

/// Checks that services accept the length of the access tokens of `session`.
///
/// # Errors
/// [`Error::TokenTooLarge`] if the roles or claims of the account are too long, which happens where
/// `HALLPASS_CLAIMS` was set after the metadata, or the issuer or audience became longer after the
/// roles.
pub(super) fn require_room(
    access_tokens: &AccessTokens,
    user: &User,
    session: &Session,
    now: UtcTime,
) -> Result<()> {
    let settings = access_tokens.settings();
    Ok(access_tokens.check_length(&claims_of(settings, user, session, now), now)?)
}

/// Returns the time of issue of an access token: now, or the second after that of the last change
/// of the user's rights. Services that check tokens themselves refuse `iat <= revoked_at`, both in
/// whole seconds, so a token with the new rights must not have the second of the change. A change
/// further ahead than clocks of instances differ means that the clock was set back.
fn issue_time(user: &User, now: UtcTime) -> UtcTime {
    let next = UtcTime::from_seconds(user.rights_changed_at.seconds() + 1);
    if next <= now.after(CLOCKS_DIFFER) { now.max(next) } else { now }
}

impl Flows {
    /// Returns the sign-in of a client that passed the methods `amr`, and is handed `tokens`.
    pub(super) fn sign_in(
        &self,
        amr: Amr,
        client: LoginContext,
        transport: Transport,
        tokens: FirstTokens,
        now: UtcTime,
    ) -> SignIn {
        let (access_tokens, policy) = (Arc::clone(&self.access_tokens), Arc::clone(&self.policy));
        SignIn { amr, client, transport, tokens, now, policy, access_tokens }
    }

    /// Returns the token pair for `session` and `refresh_token`.
    pub(super) fn token_pair(
        &self,
        user: &User,
        session: &Session,
        refresh_token: PlainToken,
        refresh_expires_at: UtcTime,
        now: UtcTime,
    ) -> Result<TokenPair> {
        let issued_at = issue_time(user, now);
        let settings = self.access_tokens.settings();
        let claims = claims_of(settings, user, session, issued_at);
        Ok(TokenPair {
            access_token: self.access_tokens.sign(&claims, now)?,
            issued_in: self.clock.time_until(issued_at),
            expires_in: settings.lifetime,
            refresh_token,
            refresh_expires_in: refresh_expires_at.remaining(now),
            session_id: session.id.clone(),
        })
    }

    /// Returns the tokens of a sign-in, and makes this instance refuse those of the sessions that
    /// it ended.
    pub(super) fn complete(
        &self,
        user: &User,
        signed_in: SignedIn,
        now: UtcTime,
    ) -> Result<LoggedIn> {
        let SignedIn { session, refresh_token, refresh_expires_at, device_token, ended } =
            signed_in;
        self.note_ended(user.id, ended, EndReason::TooMany, now);
        let tokens = self.token_pair(user, &session, refresh_token, refresh_expires_at, now)?;
        Ok(LoggedIn { tokens, device_token })
    }
}
