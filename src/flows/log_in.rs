//! Logging in with a name or address and a password.

use super::tokens::open_session;
use super::{Error, Flows, Result, TokenPair};
use crate::domain::{Email, PlainPassword, PlainToken, User};
use crate::store::{self, Conn, users};

/// How passwords appear in `amr` (RFC 8176).
pub(super) const AMR_PASSWORD: &str = "pwd";

impl Flows {
    /// Opens a session for whoever knows the password. An unknown name does the same work and gets
    /// the same answer as a wrong password.
    pub fn log_in(&self, name: &str, password: &PlainPassword) -> Result<TokenPair> {
        let user = self.check_password(|conn| find_by_login(conn, name), password)?;
        let now = self.now();
        let refresh_token = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let (hash, policy) = (refresh_token.hash(), self.policy.clone());
        let (user, opened) = self.db.write(move |conn| {
            // Whoever was switched off, or got another password, while the hash was computed
            // does not come in any more.
            let user = users::record_login(conn, user.id, &user.password_hash, now)?
                .ok_or(Error::InvalidCredentials)?;
            let opened = open_session(conn, &policy, &user, AMR_PASSWORD, &hash, now)?;
            Ok::<_, Error>((user, opened))
        })?;
        tracing::info!(user_id = user.id.0, session_id = %opened.session.id, "logged in");
        self.first_pair(&user, &opened, refresh_token, now)
    }

    /// The active account that `find` finds, if `password` is its password. The hash is brought up
    /// to date where it is not.
    pub(super) fn check_password(
        &self,
        find: impl FnOnce(&mut Conn) -> store::Result<Option<User>>,
        password: &PlainPassword,
    ) -> Result<User> {
        let user = self.db.read(find)?;
        let verdict =
            self.hasher.verify(password, user.as_ref().map(|user| &user.password_hash))?;
        let Some(mut user) = user.filter(|_| verdict.matches) else {
            tracing::info!("log-in refused: wrong name or password");
            return Err(Error::InvalidCredentials);
        };
        if !user.is_active {
            tracing::info!(user_id = user.id.0, "log-in refused: account disabled");
            return Err(Error::AccountDisabled);
        }
        if verdict.is_outdated {
            let (id, old, now) = (user.id, user.password_hash, self.now());
            user.password_hash = self.hasher.hash(password)?;
            let new = user.password_hash.clone();
            self.db.write(move |conn| {
                users::replace_password_hash(conn, id, &old, &new, now).map_err(Error::from)
            })?;
        }
        Ok(user)
    }
}

/// The account that is meant by what somebody typed as name: exactly that name, that name in other
/// letter case, or the address.
fn find_by_login(conn: &mut Conn, name: &str) -> store::Result<Option<User>> {
    if let Some(user) = users::find_by_any_username(conn, name)? {
        return Ok(Some(user));
    }
    match Email::parse(name) {
        Ok(email) => users::find_by_email(conn, &email),
        Err(_) => Ok(None),
    }
}
