//! Logging in with a name or address and a password.

use super::notices::{Notice, order_notice};
use super::tokens::{OpenedSession, open_session};
use super::{Error, Flows, Policy, Result, TokenPair};
use crate::domain::{Device, Email, PlainPassword, PlainToken, TokenHash, User, UtcTime};
use crate::store::outbox::MailKind;
use crate::store::{self, Conn, sessions, users};

/// How passwords appear in `amr` (RFC 8176).
pub(super) const AMR_PASSWORD: &str = "pwd";

/// Log-ins that bring an outdated hash up to date at the same moment meet once, hardly twice.
const MAX_COMPARISONS: usize = 3;

impl Flows {
    /// Opens a session for whoever knows the password. An unknown name does the same work and gets
    /// the same answer as a wrong password.
    pub fn log_in(
        &self,
        name: &str,
        password: &PlainPassword,
        device: &Device,
    ) -> Result<TokenPair> {
        let refresh_token = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let (hash, policy, device) = (refresh_token.hash(), self.policy.clone(), device.clone());
        let now = self.now();
        let (user, opened) = self.with_password(
            |conn| find_by_login(conn, name),
            password,
            move |conn, user| enter(conn, &policy, user, &device, &hash, now),
        )?;
        self.mail_ordered.notify_one();
        tracing::info!(user_id = user.id.0, session_id = %opened.session.id, "logged in");
        self.first_pair(&user, &opened, refresh_token, now)
    }

    /// Does `work` for the active account that `find` finds, if `password` is its password, in the
    /// transaction that notes the log-in. Then the hash is brought up to date where it is not.
    pub(super) fn with_password<T: Send + 'static>(
        &self,
        find: impl Fn(&mut Conn) -> store::Result<Option<User>>,
        password: &PlainPassword,
        work: impl FnOnce(&mut Conn, &User) -> Result<T> + Clone + Send + 'static,
    ) -> Result<(User, T)> {
        // The hash may be brought up to date by another log-in while this one computes: then the
        // password is compared once more, with what is stored now.
        for _ in 0..MAX_COMPARISONS {
            let (checked, is_outdated) = self.check_password(&find, password)?;
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
                    self.renew_password_hash(&user, password);
                }
                return Ok((user, outcome));
            }
        }
        Err(Error::InvalidCredentials)
    }

    /// The active account that `find` finds, if `password` is its password, and whether its hash is
    /// outdated.
    pub(super) fn check_password(
        &self,
        find: impl FnOnce(&mut Conn) -> store::Result<Option<User>>,
        password: &PlainPassword,
    ) -> Result<(User, bool)> {
        let user = self.db.read(find)?;
        let verdict =
            self.hasher.verify(password, user.as_ref().map(|user| &user.password_hash))?;
        let Some(user) = user.filter(|_| verdict.matches) else {
            tracing::info!("log-in refused: wrong name or password");
            return Err(Error::InvalidCredentials);
        };
        if user.is_active {
            return Ok((user, verdict.is_outdated));
        }
        tracing::info!(user_id = user.id.0, "log-in refused: account disabled");
        Err(Error::AccountDisabled)
    }

    /// The person is in already: if this fails, the next log-in tries again.
    fn renew_password_hash(&self, user: &User, password: &PlainPassword) {
        let (id, old, now) = (user.id, user.password_hash.clone(), self.now());
        let renewed = self.hasher.hash(password).map_err(Error::from).and_then(|new| {
            self.db.write(move |conn| {
                users::replace_password_hash(conn, id, &old, &new, now).map_err(Error::from)
            })
        });
        if let Err(error) = renewed {
            tracing::warn!(user_id = id.0, %error, "the password hash stays outdated for now");
        }
    }
}

/// Opens a session, and tells the owner if it is on a device that no session was on before.
fn enter(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    device: &Device,
    refresh_token: &TokenHash,
    now: UtcTime,
) -> Result<OpenedSession> {
    if sessions::knows_device(conn, user.id, device)? == Some(false) {
        let notice = Notice { kind: MailKind::NewDevice, detail: &device.label, brings_back: None };
        order_notice(conn, policy, user, user.email.as_ref(), &notice, now)?;
    }
    Ok(open_session(conn, policy, user, AMR_PASSWORD, device, refresh_token, now)?)
}

/// The account that is meant by what somebody typed: the name in any letter case, or the address.
/// Both are always asked for, so that known and unknown take the same time.
fn find_by_login(conn: &mut Conn, name: &str) -> store::Result<Option<User>> {
    let by_name = users::find_by_username(conn, name)?;
    let by_address = match Email::parse(name) {
        Ok(email) => users::find_by_email(conn, &email)?,
        Err(_) => None,
    };
    Ok(by_name.or(by_address))
}
