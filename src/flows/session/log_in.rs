//! Logging in with a name or address and a password.

use crate::domain::{
    Device, Email, PlainPassword, PlainToken, TokenHash, Transport, User, UserId, UtcTime,
};
use crate::flows::limits::{Attempt, canonical_login_identifier};
use crate::flows::notify::notices::{Notice, order_notice};
use crate::flows::sign_in::{FirstToken, OpenedSession, open_session};
use crate::flows::{Error, Flows, LoginContext, Policy, Result, TokenPair};
use crate::security::hash_queue::Requester;
use crate::store::outbox::MailKind;
use crate::store::{self, Conn, decoy_users, known_devices, sessions, users};
use crate::telemetry::REFUSALS;

/// How passwords appear in `amr` (RFC 8176).
pub(crate) const AMR_PASSWORD: &str = "pwd";

/// Devices that are remembered of a person.
const KNOWN_DEVICES: i64 = 20;

/// A session that was opened on a device.
#[derive(Debug)]
pub struct LoggedIn {
    /// The tokens.
    pub tokens: TokenPair,
    /// What makes the device a known one the next time.
    pub device_token: PlainToken,
}

/// Log-ins that bring an outdated hash up to date at the same moment meet once, hardly twice.
pub(crate) const MAX_COMPARISONS: usize = 3;

impl Flows {
    /// Opens a session for whoever knows the password. An unknown name does the same work and gets
    /// the same answer as a wrong password.
    pub fn log_in(
        &self,
        name: &str,
        password: &PlainPassword,
        entrance: &LoginContext,
        transport: Transport,
    ) -> Result<LoggedIn> {
        let find = |conn: &mut Conn| find_by_login(conn, name);
        self.attempt(name, entrance, find, |attempt| {
            self.authenticate(name, password, entrance, transport, attempt)
        })
    }

    fn authenticate(
        &self,
        name: &str,
        password: &PlainPassword,
        entrance: &LoginContext,
        transport: Transport,
        attempt: &Attempt,
    ) -> Result<LoggedIn> {
        let refresh_token = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let new_token = PlainToken::random(PlainToken::DEVICE_PREFIX);
        let arrival = Arrival {
            policy: self.policy.clone(),
            device: entrance.device.clone(),
            device_token: entrance.device_token.as_ref().map(PlainToken::hash),
            new_device_token: new_token.hash(),
            first_token: FirstToken { hash: refresh_token.hash(), transport },
            now: self.now(),
        };
        let now = arrival.now;
        let (user, (opened, is_known)) =
            self.with_password(name, password, attempt, move |conn, user| {
                arrival.enter(conn, user)
            })?;
        let device_token = entrance.device_token.clone().filter(|_| is_known).unwrap_or(new_token);
        self.mail_ordered.notify_one();
        tracing::info!(user_id = user.id.0, session_id = %opened.session.id, "logged in");
        let tokens = self.first_pair(&user, &opened, refresh_token, now)?;
        Ok(LoggedIn { tokens, device_token })
    }

    /// Does `work` for the active account that `attempt` is about, if `password` is its password, in the
    /// transaction that notes the log-in. Then the hash is brought up to date where it is not.
    pub(crate) fn with_password<T: Send + 'static>(
        &self,
        name: &str,
        password: &PlainPassword,
        attempt: &Attempt,
        work: impl FnOnce(&mut Conn, &User) -> Result<T> + Clone + Send + 'static,
    ) -> Result<(User, T)> {
        // The hash may be brought up to date by another log-in while this one computes: then the
        // password is compared once more, with what is stored now.
        for _ in 0..MAX_COMPARISONS {
            let (checked, is_outdated) = self.check_password(name, password, attempt)?;
            let (id, hash, now, work) =
                (checked.id, checked.password_hash, self.now(), work.clone());
            let noted = self.db.write(move |conn| {
                let Some(user) = users::record_login(conn, id, &hash, now)? else {
                    return Ok(None);
                };
                let outcome = work(conn, &user)?;
                Ok::<_, Error>(Some((user, outcome)))
            })?;
            if let Some((user, outcome)) = noted {
                if is_outdated {
                    self.renew_password_hash(&user, password, &attempt.requester);
                }
                return Ok((user, outcome));
            }
        }
        Err(Error::InvalidCredentials)
    }

    /// The active account that `attempt` is about, if `password` is its password, and whether its hash is
    /// outdated.
    ///
    /// Where there is none, the hash of another account is compared with, in vain: hashes of other sites and
    /// other times take longer or shorter than those of today, and a name that nobody has must not take
    /// another time than those that somebody has. It is the same account for all spellings of a name and at
    /// both faces, as it would be if there were one.
    pub(crate) fn check_password(
        &self,
        name: &str,
        password: &PlainPassword,
        attempt: &Attempt,
    ) -> Result<(User, bool)> {
        let spelling = canonical_login_identifier(name);
        let key = self.secrets.decoy_key(&spelling);
        let meant = attempt.user;
        let read = self.db.read(|conn| {
            // In another spelling or at the other face it may be somebody's.
            let namesake = find_by_login(conn, &spelling)?;
            let anybody = decoy_users::find(conn, key)?;
            let compared = meant.or(namesake).or(anybody).unwrap_or(UserId::NONE);
            users::find_by_id(conn, compared)
        })?;
        let stored = read.as_ref().map(|user| &user.password_hash);
        let verdict = self.hasher.verify(attempt.requester.clone(), password, stored)?;
        let user = read.filter(|user| Some(user.id) == meant);
        let user_id = user.as_ref().map(|user| user.id.0);
        let Some(user) = user.filter(|_| verdict.matches) else {
            tracing::info!(target: REFUSALS, user_id, "log-in refused: wrong name or password");
            return Err(Error::InvalidCredentials);
        };
        if user.is_active {
            return Ok((user, verdict.is_outdated));
        }
        tracing::info!(target: REFUSALS, user_id = user.id.0, "log-in refused: account disabled");
        Err(Error::AccountDisabled)
    }

    /// The person is in already: if this fails, the next log-in tries again.
    fn renew_password_hash(&self, user: &User, password: &PlainPassword, requester: &Requester) {
        let (id, old, now) = (user.id, user.password_hash.clone(), self.now());
        let hash = self.hasher.hash(requester.clone(), password);
        let renewed = hash.map_err(Error::from).and_then(|new| {
            self.db.write(move |conn| {
                users::replace_password_hash(conn, id, &old, &new, now).map_err(Error::from)
            })
        });
        if let Err(error) = renewed {
            tracing::warn!(user_id = id.0, %error, "the password hash stays outdated for now");
        }
    }
}

/// Somebody with the right password.
#[derive(Clone)]
struct Arrival {
    policy: Policy,
    device: Device,
    device_token: Option<TokenHash>,
    new_device_token: TokenHash,
    first_token: FirstToken,
    now: UtcTime,
}

impl Arrival {
    /// Opens a session, remembers the device, and tells the owner if it was not known. The second
    /// answer says whether the device keeps the token it has. One that is not this person's is
    /// replaced: it may be another person's, or made up.
    fn enter(&self, conn: &mut Conn, user: &User) -> Result<(OpenedSession, bool)> {
        let Self { policy, device, now, .. } = self;
        let own = match &self.device_token {
            Some(token) if known_devices::find_owner(conn, token)? == Some(user.id) => Some(token),
            _ => None,
        };
        if own.is_none() && sessions::knows_device(conn, user.id, device)? == Some(false) {
            let detail = &device.label;
            let notice = Notice { kind: MailKind::NewDevice, detail, brings_back: None };
            order_notice(conn, policy, user, user.email.as_ref(), &notice, *now)?;
        }
        let device_token = own.unwrap_or(&self.new_device_token);
        remember_device(conn, user, device_token, *now)?;
        let token = &self.first_token;
        let opened = open_session(conn, policy, user, AMR_PASSWORD, device, token, *now)?;
        Ok((opened, own.is_some()))
    }
}

/// Makes the device a known one that holds `token`, or notes that it was used again.
pub(crate) fn remember_device(
    conn: &mut Conn,
    user: &User,
    token: &TokenHash,
    now: UtcTime,
) -> store::Result<()> {
    known_devices::remember(conn, user.id, token, KNOWN_DEVICES, now)
}

/// The account that is meant by what somebody typed: the name in any letter case, or the address.
/// Both are always asked for, so that known and unknown take the same time.
fn find_by_login(conn: &mut Conn, name: &str) -> store::Result<Option<UserId>> {
    let by_name = users::find_id_by_username(conn, name)?;
    let by_address = match Email::parse(name) {
        Ok(email) => users::find_id_by_email(conn, &email)?,
        Err(_) => None,
    };
    Ok(by_name.or(by_address))
}
