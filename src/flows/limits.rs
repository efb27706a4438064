//! Rate limits. Uses are counted in the database before the work that they cost, for all instances
//! together. No limit locks a user out permanently: failures of others cause waits that end, known
//! devices have their own counters, and sessions and verifications by mail are not counted with
//! log-ins.

pub(crate) mod release;

use super::bounds::Bounds;
use super::{Error, Flows, Result};
use crate::domain::secrets::Secrets;
use crate::domain::{
    ChallengeId, Counted, Counter, Device, Email, EventContext, LimitHit, Limits, PlainToken,
    SessionId, TokenHash, User, UserId, Username, UtcTime,
};
use crate::security::hash_queue::{Lane, Requester};
use crate::store::limits::{self, Counting, Returned, Uses};
use crate::store::sessions::log_in::{self, Candidate, Login, Named};
use crate::store::{self, Conn};
use std::collections::BTreeSet;
use std::fmt::Display;

/// The client of a log-in.
#[derive(Clone, Debug, Default)]
pub struct LoginContext {
    /// The device as it describes itself.
    pub device: Device,
    /// The device token of an earlier log-in.
    pub device_token: Option<PlainToken>,
}

impl Flows {
    /// Counts one use on each counter and does `work`. On a temporary error the uses are released.
    ///
    /// # Errors
    /// [`Error::RateLimited`] if a counter is at its limit; `work` is not done.
    pub(crate) fn count<T>(
        &self,
        counters: Vec<Counter>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.reserve_leniently(counters.clone())?;
        self.do_counted(counters, work)
    }

    /// Does `work` of a request that is already counted on `counters`. On a temporary error the
    /// uses are released.
    pub(crate) fn do_counted<T>(
        &self,
        counters: Vec<Counter>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let outcome = work();
        if outcome.as_ref().is_err_and(Error::is_temporary) {
            self.release(counters);
        }
        outcome
    }

    fn reserve_leniently(&self, counters: Vec<Counter>) -> Result<Reserved> {
        let Some(bounds) = self.bounds().filter(|_| !counters.is_empty()) else {
            return Ok(Reserved::default());
        };
        if let [counter] = &counters[..]
            && !counter.counted.is_guess()
            && !counter.counted.is_lenient()
        {
            return self.reserve_alone(&bounds, counter);
        }
        let (secrets, now) = (self.secrets.clone(), self.now());
        self.db.count(move |conn| reserve_all(conn, &secrets, &bounds, counters, now))
    }

    /// Counts one use outside a transaction. Uses beyond the limit are refused by their number, so
    /// the wait need not be stored by the same statement.
    fn reserve_alone(&self, bounds: &Bounds, counter: &Counter) -> Result<Reserved> {
        let (name, now) = (self.secrets.counter_name(counter), self.now());
        let window = bounds.limits.rate(counter.counted).window;
        let counting = self.db.use_counter(&name, now.after(window), now)?;
        let (_, reached) = judge(bounds, counter, counting, now)?;
        let Some(Reached { hit, meanwhile }) = reached else { return Ok(Reserved::default()) };
        // The next uses are refused by their number too, if the wait is not stored.
        if let Err(error) =
            self.db.count_alone(move |conn| limits::set_wait(conn, &name, meanwhile))
        {
            tracing::warn!(%error, "the wait of a limit is not stored");
        }
        Ok(Reserved { reached: vec![hit], exceeded: Vec::new() })
    }

    /// Counts one use and does `work`, which is one statement on Postgres. There the use has its own
    /// transaction: in that of `work`, it would lock the counter until the commit is on disk.
    pub(super) fn write_counted<T: Send + 'static>(
        &self,
        counter: Counter,
        work: impl FnOnce(&mut Conn) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        if self.db.has_one_writer() {
            let (secrets, bounds, now) = (self.secrets.clone(), self.bounds(), self.now());
            return self.db.write(move |conn| {
                if let Some(bounds) = &bounds {
                    reserve(conn, &secrets, bounds, vec![counter], now)?;
                }
                work(conn)
            });
        }
        self.count(vec![counter], || self.db.write_alone(work))
    }

    /// Does `work`, which compares a password for `name`. The attempt is counted before; unless the
    /// guess was wrong, the use is released.
    pub(crate) fn attempt<T>(
        &self,
        name: &str,
        named: &Named,
        entrance: &LoginContext,
        work: impl FnOnce(&Attempt) -> Result<T>,
    ) -> Result<T> {
        let device = &entrance.device;
        let token = entrance.device_token.as_ref().map(PlainToken::hash);
        let spelling = canonical_login_identifier(name);
        let login = Login {
            device: token.clone(),
            named: named.clone(),
            // The user that another spelling of the name finds, or a log-in at the adapter.
            spelling: Named::username_or_email(&spelling),
            decoy_key: self.secrets.decoy_key(&spelling),
        };
        let found = self.db.read_alone(|conn| log_in::find_candidate(conn, &login))?;
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
                requester.lane = Lane::KnownDevice(device.wide_network());
            }
            work(&Attempt { user, requester, login, compared })
        };
        let outcome = self.guess(guesses, attempts, compare, |reached| {
            self.note_wrong_password(named, device, reached);
        });
        if matches!(outcome, Err(Error::AccountDisabled)) {
            self.note_disabled(named, device);
        }
        self.log_ins.count(outcome_name(&outcome));
        outcome
    }

    /// Counts the hash of a password for the caller with that id, as `counted` and by network, and
    /// does `work`. If the service is overloaded, the uses are released.
    pub(super) fn count_hashes<T>(
        &self,
        counted: Counted,
        id: impl Display,
        device: &Device,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let counters = vec![
            Counter::new(counted, id.to_string()),
            Counter::new(Counted::HashesOfNetwork, &device.network),
        ];
        self.count(counters, work)
    }

    /// Does the same for the re-authentication of a user.
    pub(super) fn attempt_again<T>(
        &self,
        id: UserId,
        session: &SessionId,
        scene: EventContext,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By session, so that guesses of an attacker do not block the owner's change of the password.
        let subject = format!("user:{id}:{}", session.as_str());
        let guesses = vec![Counter::new(Counted::FailedLoginsPerNetwork, subject)];
        self.guess(
            guesses,
            Vec::new(),
            |_| work(),
            |reached| {
                self.note_failed_reauthentication(scene, reached);
            },
        )
    }

    /// Does the same for the password that comes with the link of a mail.
    pub(super) fn attempt_with_link<T>(
        &self,
        challenge: &ChallengeId,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By link, so that guesses of an attacker who has it do not make the owner wait.
        let subject = format!("link:{}", challenge.as_str());
        let guesses = vec![Counter::new(Counted::FailedLoginsPerNetwork, subject)];
        self.guess(
            guesses,
            Vec::new(),
            |_| work(),
            |reached| {
                let secrets = self.secrets.clone();
                if let Err(error) =
                    self.db.write(move |conn| start_cooldown(conn, &secrets, &reached))
                {
                    tracing::warn!(%error, "a wrong password does not count");
                }
            },
        )
    }

    /// Does `work`, which compares a guess and gets the exceeded lenient limits. Unless the guess was
    /// wrong, its uses are released; if it was, `note` gets the limits that it reached.
    fn guess<T>(
        &self,
        mut guesses: Vec<Counter>,
        mut attempts: Vec<Counter>,
        work: impl FnOnce(&[Counted]) -> Result<T>,
        note: impl FnOnce(Vec<LimitHit>),
    ) -> Result<T> {
        let Reserved { mut reached, exceeded } =
            self.reserve_leniently(guesses.iter().chain(&attempts).cloned().collect())?;
        reached.retain(|reached| reached.counter.counted.is_guess());
        guesses.retain(|it| !exceeded.contains(&it.counted));
        attempts.retain(|it| !exceeded.contains(&it.counted));
        let outcome = work(&exceeded);
        match outcome {
            Err(Error::InvalidCredentials) => note(reached),
            Ok(_) | Err(Error::AccountDisabled) => self.reset_failures(guesses),
            // It was not compared, so it was neither wrong nor right, and a failure of the service is
            // no attempt.
            Err(ref error) => {
                let attempts = Some(attempts).filter(|_| error.is_temporary()).unwrap_or_default();
                self.release(guesses.into_iter().chain(attempts).collect());
            }
        }
        outcome
    }
}

/// Returns the label of the outcome of a log-in in the metrics.
pub(super) fn outcome_name<T>(outcome: &Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "succeeded",
        Err(Error::InvalidCredentials) => "wrong_password",
        Err(Error::AccountDisabled) => "account_disabled",
        Err(Error::RateLimited(_)) => "rate_limited",
        Err(Error::ProofRequired) => "proof_required",
        Err(Error::Overloaded) => "overloaded",
        Err(_) => "failed",
    }
}

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

/// Outcome of counting uses.
#[derive(Default)]
struct Reserved {
    /// The limits that the uses reached.
    reached: Vec<LimitHit>,
    /// The lenient limits that were reached before: these uses are not counted.
    exceeded: Vec<Counted>,
}

/// Returns the requester of a hash for `account` on an unknown device.
pub(super) fn requester(account: String, device: &Device) -> Requester {
    Requester { account, lane: Lane::Network(device.wide_network()) }
}

/// Returns the name of a user's account in the hash queue. It has a NUL, which no log-in name has.
pub(super) fn account_of(id: UserId) -> String {
    format!("\0{id}")
}

/// Returns one spelling for all spellings of a user name or an e-mail address, so that they share a
/// counter: an internationalised domain has many, and so have letters of other widths and styles.
pub(super) fn canonical_login_identifier(name: &str) -> String {
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

/// Counts one use on each counter and returns the limits that were reached. A refusal rolls the
/// transaction back, so that none is counted.
pub(super) fn reserve(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    counters: Vec<Counter>,
    now: UtcTime,
) -> Result<Vec<LimitHit>> {
    Ok(reserve_all(conn, secrets, bounds, counters, now)?.reached)
}

/// Does the same, and returns the exceeded lenient limits too.
fn reserve_all(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    mut counters: Vec<Counter>,
    now: UtcTime,
) -> Result<Reserved> {
    // Of several refusals, the first one is the answer: always the same.
    counters.sort();
    let window_ends = |counter: &Counter| now.after(bounds.limits.rate(counter.counted).window);
    let uses: Vec<Uses> = counters
        .iter()
        .map(|it| Uses { name: secrets.counter_name(it), uses: 1, window_ends: window_ends(it) })
        .collect();
    let counted = limits::use_counters(conn, &uses, now)?;
    let mut reserved = Reserved::default();
    for ((counter, Uses { name, .. }), counting) in counters.iter().zip(&uses).zip(counted) {
        match judge(bounds, counter, counting, now) {
            Ok((_, None)) => {}
            Ok((_, Some(Reached { hit, meanwhile }))) => {
                limits::set_wait(conn, name, meanwhile)?;
                reserved.reached.push(hit);
            }
            Err(Error::RateLimited(_)) if counter.counted.is_lenient() => {
                reserved.exceeded.push(counter.counted);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(reserved)
}

/// Counts one use. Returns the number of uses in the window.
pub(super) fn reserve_one(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    counter: &Counter,
    now: UtcTime,
) -> Result<i64> {
    let name = secrets.counter_name(counter);
    let window_ends = now.after(bounds.limits.rate(counter.counted).window);
    let counting = limits::use_counter(conn, &name, window_ends, now)?;
    let (uses, reached) = judge(bounds, counter, counting, now)?;
    if let Some(Reached { meanwhile, .. }) = reached {
        limits::set_wait(conn, &name, meanwhile)?;
    }
    Ok(uses)
}

/// A limit that a use has reached, and the time until which other uses wait for its outcome.
struct Reached {
    hit: LimitHit,
    meanwhile: UtcTime,
}

/// Returns the number of a use that was counted, and the limit if the use reached it.
///
/// # Errors
/// The refusal if the use has to wait, also of a lenient limit.
fn judge(
    bounds: &Bounds,
    counter: &Counter,
    counting: Counting,
    now: UtcTime,
) -> Result<(i64, Option<Reached>)> {
    let what = counter.counted;
    let rate = bounds.limits.rate(what);
    let used = match counting {
        Ok(used) => used,
        // Beyond a lenient limit a use continues with a lower priority.
        Err(until) if what.is_lenient() => return Err(Error::RateLimited(until.remaining(now))),
        Err(until) => {
            bounds.refuse(what, until.remaining(now))?;
            return Ok((rate.uses.saturating_add(1), None));
        }
    };
    let wait = bounds.limits.wait_after(what, used.uses, used.resets_at.remaining(now));
    if used.uses > rate.uses && !what.is_guess() && !what.is_lenient() {
        // The use that reached the limit has not stored its wait yet, or the limit was lowered.
        bounds.refuse(what, wait)?;
    }
    if wait.is_zero() {
        return Ok((used.uses, None));
    }
    let meanwhile = now.after(Limits::wait_meanwhile(what, wait));
    let hit = LimitHit { counter: counter.clone(), waits_until: now.after(wait) };
    Ok((used.uses, Some(Reached { hit, meanwhile })))
}

/// Starts the waits of the limits that a wrong guess reached.
pub(super) fn start_cooldown(
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
pub(super) fn reset_failed_logins(
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
