//! Log-in with a password, and a user name or an e-mail address.

use crate::domain::secrets::FirstTokens;
use crate::domain::{Amr, Email, PlainPassword, Transport, User, UserId};
use crate::flows::limits::{Attempt, canonical_login_identifier};
use crate::flows::sign_in::SignIn;
use crate::flows::{Error, Flows, LogInOutcome, LoginContext, Result};
use crate::security::hash_queue::Requester;
use crate::store::users::{self, changes};
use crate::store::{self, Conn, decoy_users};
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
        let find = |conn: &mut Conn| find_by_login(conn, name);
        self.attempt(name, client, find, |attempt| {
            let (policy, now) = (self.policy.clone(), self.now());
            let tokens = FirstTokens::random();
            let client = client.clone();
            let sign_in = SignIn { amr: Amr::password(), client, transport, tokens, now };
            let (user, signed_in) =
                self.with_password(name, password, attempt, move |conn, user| {
                    sign_in.open(conn, &policy, user)
                })?;
            let session_id = &signed_in.session.id;
            tracing::info!(user_id = user.id.0, %session_id, "logged in");
            Ok(LogInOutcome::LoggedIn(self.complete(&user, signed_in, now)?))
        })
    }

    /// Runs `work` for the active user of `attempt`, if `password` is right, in the transaction
    /// that records the log-in. Then upgrades an outdated hash.
    pub(crate) fn with_password<T: Send + 'static>(
        &self,
        name: &str,
        password: &PlainPassword,
        attempt: &Attempt,
        work: impl FnOnce(&mut Conn, &User) -> Result<T> + Clone + Send + 'static,
    ) -> Result<(User, T)> {
        // A concurrent log-in may upgrade the hash meanwhile. Then the password is verified again,
        // with the new hash.
        for _ in 0..MAX_COMPARISONS {
            let (checked, is_outdated) = self.check_password(name, password, attempt)?;
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
        }
        Err(Error::InvalidCredentials)
    }

    /// Returns the active user of `attempt`, if `password` is right, and whether the hash is
    /// outdated.
    ///
    /// For an unknown user, verifies against the hash of a decoy user: imported hashes have other
    /// costs than ours, so one fixed dummy hash would reveal which users exist. The decoy is the
    /// same for all spellings of a name, also at the Django REST adapter.
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
            // The user that another spelling of the name finds, or a log-in at the adapter.
            let same_spelling = find_by_login(conn, &spelling)?;
            let decoy = decoy_users::find(conn, key)?;
            let compared = meant.or(same_spelling).or(decoy).unwrap_or(UserId::NONE);
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

/// Finds the account of a user name in any letter case, or of an e-mail address. Both are looked up
/// in any case, so that known and unknown names take the same time.
fn find_by_login(conn: &mut Conn, name: &str) -> store::Result<Option<UserId>> {
    let by_name = users::find_id_by_username(conn, name)?;
    let by_address = match Email::parse(name) {
        Ok(email) => users::find_id_by_email(conn, &email)?,
        Err(_) => None,
    };
    Ok(by_name.or(by_address))
}
