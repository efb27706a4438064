//! Guesses: attempts to log in and re-authentications, counted before the password is compared.

use std::collections::BTreeSet;

use super::reserve::Reserved;
use crate::domain::secrets::Secrets;
use crate::domain::{
    ChallengeId, Counted, Counter, Device, Email, EventContext, LimitHit, PlainToken, SessionId,
    TokenHash, User, UserId, Username, UtcTime,
};
use crate::flows::{Error, Flows, LogInOutcome, LoginContext, Result};
use crate::security::hash_queue::{Lane, Origin, Requester};
use crate::store::limits::{self, Returned};
use crate::store::sessions::candidate::{Candidate, Login, Named, find_candidate};
use crate::store::{self, Conn};

/// A counted log-in attempt.
pub(crate) struct Attempt {
    /// The user of the name, if it exists.
    pub(crate) user: Option<UserId>,
    /// The requester of its hash, for the queue.
    pub(crate) requester: Requester,
    /// The log-in, to look the account up again.
    pub(crate) login: Login,
    /// The account whose password is compared, as it was when the attempt began.
    ///
    /// For an unknown user it is a decoy user: imported hashes have other costs than ours, so one
    /// fixed dummy hash would reveal which users exist. The decoy is the same for all spellings of
    /// a name, also at the Django REST adapter.
    pub(crate) compared: Option<User>,
}

impl Flows {
    /// Counts a log-in attempt for `name`, then runs `work`, which compares the password. Unless
    /// the guess was wrong, the use is released; a right password resets earlier failures, unless a
    /// second factor is missing.
    pub(crate) fn attempt<T>(
        &self,
        name: &str,
        named: &Named,
        client: &LoginContext,
        work: impl FnOnce(&Attempt) -> Result<LogInOutcome<T>>,
    ) -> Result<LogInOutcome<T>> {
        let device = &client.device;
        let token = client.device_token.as_ref().map(PlainToken::hash);
        let spelling = canonical_login_identifier(name);
        let login = Login {
            device: token.clone(),
            named: named.clone(),
            // The user that another spelling of the name finds, or a log-in at the adapter.
            spelling: Named::username_or_email(&spelling),
            decoy_key: self.secrets.decoy_key(&spelling),
        };
        let found = self.db.read_statement(|conn| find_candidate(conn, &login))?;
        let Candidate { device_owner, named: user, compared } = found;
        let known = token.filter(|_| device_owner.is_some() && device_owner == user);
        let (guesses, attempts) = match (user, &known) {
            (Some(user), Some(token)) => counters_of_known(user, token, device),
            _ => counters_of_other(name, device),
        };
        let compare = |exceeded: &[Counted]| {
            let known = user.filter(|_| known.is_some());
            let preferred = known.filter(|_| !exceeded.contains(&Counted::KnownDevicesOfNetwork));
            let account = known.map_or(spelling, account_of);
            let mut requester = requester(account, device);
            if preferred.is_some() {
                requester.lane = Lane::KnownDevice(origin(device));
            }
            work(&Attempt { user, requester, login, compared })
        };
        let outcome = self.guess(guesses, attempts, compare, |reached| {
            self.note_wrong_password(named, device, reached);
        });
        if matches!(outcome, Err(Error::AccountDisabled)) {
            self.note_disabled(named, device);
        }
        self.count_log_in(&outcome, LogInOutcome::label);
        outcome
    }

    /// Counts a re-authentication of a user, then runs `work`, as [`Self::attempt`] does.
    pub(in crate::flows) fn attempt_again<T>(
        &self,
        id: UserId,
        session: &SessionId,
        context: EventContext,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By session, so that guesses of an attacker do not block the owner's change of the
        // password.
        let subject = format!("user:{id}:{}", session.as_str());
        self.guess_at(subject, work, |reached| self.note_failed_reauthentication(context, reached))
    }

    /// Counts a password that comes with the link of a mail, then runs `work`, as [`Self::attempt`]
    /// does.
    pub(in crate::flows) fn attempt_with_link<T>(
        &self,
        challenge: &ChallengeId,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By link, so that guesses of an attacker who has it do not make the owner wait.
        let subject = format!("link:{}", challenge.as_str());
        self.guess_at(subject, work, |reached| {
            let secrets = self.secrets.clone();
            if let Err(error) = self.db.write(move |conn| start_cooldown(conn, &secrets, &reached))
            {
                tracing::warn!(%error, "a wrong password does not count");
            }
        })
    }

    /// Counts a guess of `subject`, which only its failures limit, then runs `work`, which compares
    /// it.
    fn guess_at<T>(
        &self,
        subject: String,
        work: impl FnOnce() -> Result<T>,
        note: impl FnOnce(Vec<LimitHit>),
    ) -> Result<T> {
        let guesses = vec![Counter::new(Counted::FailedLoginsPerNetwork, subject)];
        let work = |_: &[Counted]| work().map(LogInOutcome::LoggedIn);
        let LogInOutcome::LoggedIn(value) = self.guess(guesses, Vec::new(), work, note)?;
        Ok(value)
    }

    /// Counts a guess, then runs `work`, which compares it and gets the exceeded lenient limits. If
    /// the guess was wrong, `note` gets the limits that it reached; otherwise its uses are
    /// released.
    fn guess<T>(
        &self,
        mut guesses: Vec<Counter>,
        mut attempts: Vec<Counter>,
        work: impl FnOnce(&[Counted]) -> Result<LogInOutcome<T>>,
        note: impl FnOnce(Vec<LimitHit>),
    ) -> Result<LogInOutcome<T>> {
        let Reserved { mut reached, exceeded, .. } =
            self.reserve_leniently(guesses.iter().chain(&attempts).cloned().collect())?;
        reached.retain(|reached| reached.counter.counted.is_guess());
        guesses.retain(|it| !exceeded.contains(&it.counted));
        attempts.retain(|it| !exceeded.contains(&it.counted));
        let outcome = work(&exceeded);
        match &outcome {
            Err(Error::InvalidCredentials) => note(reached),
            Ok(LogInOutcome::LoggedIn(_)) | Err(Error::AccountDisabled) => {
                self.reset_failures(guesses);
            }
            // The password was right, but it resets no failures: an attacker who knows it could
            // guess second factors without a limit.
            Ok(LogInOutcome::SecondFactorRequired(_)) => self.release(guesses),
            // It was not compared, so it was neither wrong nor right, and a failure of the service
            // is no attempt.
            Err(error) => {
                let attempts = Some(attempts).filter(|_| error.is_temporary()).unwrap_or_default();
                self.release(guesses.into_iter().chain(attempts).collect());
            }
        }
        outcome
    }

    /// Counts the outcome of a log-in in the metrics; `label` is that of a result.
    pub(in crate::flows) fn count_log_in<T>(
        &self,
        outcome: &Result<T>,
        label: impl FnOnce(&T) -> &'static str,
    ) {
        self.log_ins.count(match outcome {
            Ok(result) => label(result),
            Err(Error::InvalidCredentials) => "wrong_password",
            Err(Error::AccountDisabled) => "account_disabled",
            Err(Error::RateLimited(_)) => "rate_limited",
            Err(Error::ProofRequired) => "proof_required",
            Err(Error::Overloaded) => "overloaded",
            Err(_) => "failed",
        });
    }
}

/// Returns the requester of a hash for `account` on an unknown device.
pub(in crate::flows) fn requester(account: String, device: &Device) -> Requester {
    Requester { account, lane: Lane::Network(origin(device)) }
}

fn origin(device: &Device) -> Origin {
    Origin { network: device.wide_network(), block: device.block() }
}

/// Returns the name of a user's account in the hash queue. It has a NUL, which no log-in name has.
pub(in crate::flows) fn account_of(id: UserId) -> String {
    format!("\0{id}")
}

/// Returns one spelling for all spellings of a user name or an e-mail address, so that they share a
/// counter: an internationalised domain has many, and so have letters of other widths and styles.
fn canonical_login_identifier(name: &str) -> String {
    let name = Username::unchecked(name);
    let email = name.named_address();
    email.as_ref().map_or(name.normalised(), Email::normalised).to_owned()
}

/// Returns the counters of guesses and of attempts on a known device. Other devices do not share
/// them.
fn counters_of_known(
    user: UserId,
    token: &TokenHash,
    device: &Device,
) -> (Vec<Counter>, Vec<Counter>) {
    let token = format!("device:{}", token.to_text());
    let subject = format!("user:{user}\0{token}");
    let guesses = vec![Counter::new(Counted::FailedLoginsPerNetwork, subject)];
    let attempts = vec![
        Counter::new(Counted::AttemptsOfNetwork, token),
        Counter::new(Counted::AttemptsOfUser, user.to_string()),
        Counter::new(Counted::KnownDevicesOfNetwork, device.wide_network()),
    ];
    (guesses, attempts)
}

/// Returns the counters of guesses and of attempts on an unknown device.
fn counters_of_other(name: &str, device: &Device) -> (Vec<Counter>, Vec<Counter>) {
    let attempts = vec![Counter::new(Counted::AttemptsOfNetwork, &device.network)];
    (guesses_of(name, device), attempts)
}

/// Returns the counters of a guess at `name`. They do not depend on the existence of the account.
fn guesses_of(name: &str, device: &Device) -> Vec<Counter> {
    let name = canonical_login_identifier(name);
    let network = &device.network;
    vec![
        Counter::new(Counted::ConsecutiveFailedLogins, &name),
        Counter::new(Counted::FailedLoginsPerAccount, &name),
        Counter::new(Counted::FailedLoginsPerNetwork, format!("{name}\0{network}")),
    ]
}

/// Starts the waits of the limits that a wrong guess reached.
pub(in crate::flows) fn start_cooldown(
    conn: &mut Conn,
    secrets: &Secrets,
    reached: &[LimitHit],
) -> store::Result<()> {
    let mut waits: Vec<(String, UtcTime)> =
        reached.iter().map(|it| (secrets.counter_name(&it.counter), it.waits_until)).collect();
    // In the order in which attempts lock them, against deadlocks.
    waits.sort_unstable();
    for (name, waits_until) in waits {
        limits::set_wait(conn, &name, waits_until)?;
    }
    Ok(())
}

/// Resets the counters of guesses at a user who verified the e-mail address on `device`.
pub(in crate::flows) fn reset_failed_logins(
    conn: &mut Conn,
    secrets: &Secrets,
    user: &User,
    device: &Device,
) -> store::Result<()> {
    let names = [user.username.as_str(), user.email_text()];
    let guesses = names.into_iter().flat_map(|name| guesses_of(name, device));
    // A set: both names may be the same, and so may be their counters.
    let names: BTreeSet<String> = guesses.map(|it| secrets.counter_name(&it)).collect();
    let all: Vec<Returned> =
        names.into_iter().map(|name| Returned::of(name, Returned::ALL)).collect();
    limits::release(conn, &all)
}
