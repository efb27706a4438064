//! Log-in with a password, and a user name or an e-mail address.

use crate::domain::secrets::FirstTokens;
use crate::domain::{Amr, PlainPassword, Transport, User};
use crate::flows::limits::Attempt;
use crate::flows::{Error, Flows, LogInOutcome, LoginContext, Result};
use crate::security::hash_queue::Requester;
use crate::store::Conn;
use crate::store::sessions::candidate::{Named, find_candidate};
use crate::store::users::changes;
use crate::telemetry::REFUSALS;

/// Largest number of verifications of one password. Concurrent log-ins that upgrade the hash
/// collide once, hardly ever twice.
pub(crate) const MAX_COMPARISONS: usize = 3;

impl Flows {
    /// Opens a session for a user who knows the password. For an unknown user name it does the same
    /// work and returns the same error as for a wrong password.
    pub fn log_in(
        &self,
        name: &str,
        password: &PlainPassword,
        client: &LoginContext,
        transport: Transport,
    ) -> Result<LogInOutcome> {
        let named = Named::username_or_email(name);
        self.attempt(name, &named, client, |attempt| {
            let (now, tokens) = (self.now(), FirstTokens::random());
            let sign_in = self.sign_in(Amr::password(), client.clone(), transport, tokens, now);
            let open = move |conn: &mut Conn, user: &User| sign_in.open(conn, user);
            let (user, outcome) = self.with_password(password, attempt, open)?;
            let LogInOutcome::LoggedIn(signed_in) = outcome;
            let session_id = &signed_in.session.id;
            tracing::info!(user_id = user.id.0, %session_id, "logged in");
            Ok(LogInOutcome::LoggedIn(self.complete(&user, signed_in, now)?))
        })
    }

    /// Runs `work` for the active user of `attempt`, if `password` is right, in the transaction
    /// that records the log-in. Then upgrades an outdated hash.
    pub(crate) fn with_password<T: Send + 'static>(
        &self,
        password: &PlainPassword,
        attempt: &Attempt,
        work: impl FnOnce(&mut Conn, &User) -> Result<T> + Clone + Send + 'static,
    ) -> Result<(User, T)> {
        // A concurrent log-in may upgrade the hash meanwhile. Then the password is verified again,
        // with the new hash.
        let mut compared = attempt.compared.clone();
        for _ in 0..MAX_COMPARISONS {
            let (checked, is_outdated) = self.check_password(password, attempt, compared)?;
            let (id, hash, now, work) =
                (checked.id, checked.password_hash, self.now(), work.clone());
            let noted = self.db.write(move |conn| {
                let Some(user) = changes::record_login(conn, id, &hash, now)? else {
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
            let find = |conn: &mut Conn| find_candidate(conn, &attempt.login);
            compared = self.db.read_statement(find)?.compared;
        }
        Err(Error::InvalidCredentials)
    }

    /// Returns the active user of `attempt`, if `password` is that of `compared`, and whether the
    /// hash is outdated.
    pub(crate) fn check_password(
        &self,
        password: &PlainPassword,
        attempt: &Attempt,
        compared: Option<User>,
    ) -> Result<(User, bool)> {
        let stored = compared.as_ref().map(|user| &user.password_hash);
        let verdict = self.hasher.verify(attempt.requester.clone(), password, stored)?;
        let user = compared.filter(|user| Some(user.id) == attempt.user);
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

    /// Upgrades the hash of a user who is logged in. After a failure, the next log-in does it.
    fn renew_password_hash(&self, user: &User, password: &PlainPassword, requester: &Requester) {
        let (id, old, now) = (user.id, user.password_hash.clone(), self.now());
        let hash = self.hasher.hash(requester.clone(), password);
        let renewed = hash.map_err(Error::from).and_then(|new| {
            self.db.write(move |conn| {
                changes::replace_password_hash(conn, id, &old, &new, now).map_err(Error::from)
            })
        });
        if let Err(error) = renewed {
            tracing::warn!(user_id = id.0, %error, "the password hash stays outdated for now");
        }
    }
}
