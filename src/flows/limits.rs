//! How often something may be tried. Uses are counted before the work that they cost, in the database, for
//! all instances together. Nothing here keeps a person out for good: failures of others make waits that
//! end, known devices have counters of their own, and sessions and proofs by mail are not counted with log-ins.

use std::time::Duration;

use super::{Error, Flows, Result};
use crate::domain::token::Secrets;
use crate::domain::{
    ChallengeId, Counted, Counter, Device, Email, EventContext, LimitHit, Limits, PlainToken,
    SessionId, TokenHash, User, UserId, Username, UtcTime,
};
use crate::security::hash_queue::{Lane, Requester};
use crate::store::{self, Conn, known_devices, limits};
use crate::telemetry::REFUSALS;

/// Where somebody tries to get in.
#[derive(Clone, Debug, Default)]
pub struct LoginContext {
    /// The device as it describes itself.
    pub device: Device,
    /// What a device holds that the person has logged in on before.
    pub device_token: Option<PlainToken>,
}

impl Flows {
    /// Counts one use on each counter, or refuses. Returns the bounds that were reached.
    pub(super) fn reserve(&self, counters: Vec<Counter>) -> Result<Vec<LimitHit>> {
        let Some(bounds) = self.policy.limits else { return Ok(Vec::new()) };
        let (secrets, now) = (self.secrets.clone(), self.now());
        self.db.write(move |conn| reserve(conn, &secrets, &bounds, counters, now))
    }

    /// Does `work`, which compares a password given for `name`. The attempt is counted beforehand; if it
    /// was no wrong guess, it is taken back.
    pub(super) fn attempt<T>(
        &self,
        name: &str,
        entrance: &LoginContext,
        owner: impl Fn(&mut Conn) -> store::Result<Option<UserId>>,
        work: impl FnOnce(&Requester) -> Result<T>,
    ) -> Result<T> {
        let device = entrance.device_token.as_ref().map(PlainToken::hash);
        let known = self.db.read(|conn| known_device(conn, device, &owner))?;
        let guesses = guesses_of(name, &entrance.device, known.as_ref());
        let place = known.as_ref().map_or_else(
            || entrance.device.network.clone(),
            // Nobody else in its network can use this up.
            |token| format!("device:{}", token.to_text()),
        );
        let attempt = Counter::new(Counted::AttemptsOfNetwork, place);
        let mut requester = requester(canonical_login_identifier(name), &entrance.device);
        if known.is_some() {
            requester.lane = Lane::KnownDevice;
        }
        let outcome = self.guess(
            guesses,
            vec![attempt],
            || work(&requester),
            |reached| {
                self.note_wrong_password(&owner, &entrance.device, reached);
            },
        );
        if matches!(outcome, Err(Error::AccountDisabled)) {
            self.note_disabled(owner, &entrance.device);
        }
        self.log_ins.count(match &outcome {
            Ok(_) => "succeeded",
            Err(Error::InvalidCredentials) => "wrong_password",
            Err(Error::AccountDisabled) => "account_disabled",
            Err(Error::RateLimited(_)) => "rate_limited",
            Err(Error::ProofRequired) => "proof_required",
            Err(Error::Overloaded) => "overloaded",
            Err(_) => "failed",
        });
        outcome
    }

    /// Counts that a password is hashed for a logged-in user, as `counted` and by network, and does `work`. If
    /// the service is overloaded, the uses are given back.
    pub(super) fn count_hashes<T>(
        &self,
        counted: Counted,
        id: UserId,
        device: &Device,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let counters = vec![
            Counter::new(counted, id.to_string()),
            Counter::new(Counted::HashesOfNetwork, &device.network),
        ];
        self.reserve(counters.clone())?;
        let outcome = work();
        if outcome.as_ref().is_err_and(Error::is_temporary) {
            self.release(counters);
        }
        outcome
    }

    /// The same for somebody who is logged in and proves once more who they are.
    pub(super) fn attempt_again<T>(
        &self,
        id: UserId,
        session: &SessionId,
        scene: EventContext,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By session: a thief's guesses must not keep the owner from changing the password.
        let subject = format!("user:{id}:{}", session.as_str());
        let guesses = vec![Counter::new(Counted::FailedLoginsOfAccountInNetwork, subject)];
        self.guess(guesses, Vec::new(), work, |reached| {
            self.note_failed_reauthentication(scene, reached);
        })
    }

    /// The same for the password that goes with the link of a mail.
    pub(super) fn attempt_with_link<T>(
        &self,
        challenge: &ChallengeId,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By link: whoever has it may be a thief of the account, and the owner must not wait for that.
        let subject = format!("link:{}", challenge.as_str());
        let guesses = vec![Counter::new(Counted::FailedLoginsOfAccountInNetwork, subject)];
        self.guess(guesses, Vec::new(), work, |reached| {
            let secrets = self.secrets.clone();
            if let Err(error) = self.db.write(move |conn| start_cooldown(conn, &secrets, &reached))
            {
                tracing::warn!(%error, "a wrong password does not count");
            }
        })
    }

    /// Does `work`, which compares a guess, and takes back what was counted of it unless it was wrong: then
    /// `note` is told the bounds that it reached.
    fn guess<T>(
        &self,
        guesses: Vec<Counter>,
        attempts: Vec<Counter>,
        work: impl FnOnce() -> Result<T>,
        note: impl FnOnce(Vec<LimitHit>),
    ) -> Result<T> {
        let counters = guesses.iter().chain(&attempts).cloned().collect();
        let mut reached = self.reserve(counters)?;
        reached.retain(|reached| reached.counter.counted.is_guess());
        let outcome = work();
        match outcome {
            Err(Error::InvalidCredentials) => note(reached),
            Ok(_) | Err(Error::AccountDisabled) => self.reset_failures(guesses),
            // It was not compared: neither a wrong guess nor a right one. What the service could not do is no
            // attempt either.
            Err(ref error) => {
                let attempts = Some(attempts).filter(|_| error.is_temporary()).unwrap_or_default();
                self.release(guesses.into_iter().chain(attempts).collect());
            }
        }
        outcome
    }

    /// Takes back what was counted of an attempt that came to nothing.
    pub(super) fn release(&self, counters: Vec<Counter>) {
        self.release_or_reset(counters, |_| limits::return_use);
    }

    /// Takes back what was counted as a guess and was none.
    fn reset_failures(&self, guesses: Vec<Counter>) {
        self.release_or_reset(guesses, |counted| match counted {
            Counted::FailedLoginsOfAccount => limits::return_use,
            _ => limits::clear,
        });
    }

    /// If this fails, somebody waits a little.
    fn release_or_reset(&self, counters: Vec<Counter>, how: fn(Counted) -> ReleaseOrReset) {
        if self.policy.limits.is_none() {
            return;
        }
        let secrets = self.secrets.clone();
        let released = self.db.write(move |conn| {
            for counter in &counters {
                how(counter.counted)(conn, &secrets.counter_name(counter))?;
            }
            Ok::<_, Error>(())
        });
        if let Err(error) = released {
            tracing::warn!(%error, "an attempt stays counted though it was none");
        }
    }
}

/// Returns the requester of a hash for `account`, at a device that is not known.
pub(super) fn requester(account: String, device: &Device) -> Requester {
    Requester { account, lane: Lane::Network(device.wide_network()) }
}

/// How a counter takes something back.
type ReleaseOrReset = fn(&mut Conn, &str) -> store::Result<()>;

/// The device's token, if the person that is asked for is its owner. The same look-ups for all.
fn known_device(
    conn: &mut Conn,
    token: Option<TokenHash>,
    owner: impl FnOnce(&mut Conn) -> store::Result<Option<UserId>>,
) -> store::Result<Option<TokenHash>> {
    let Some(token) = token else { return Ok(None) };
    let held_by = known_devices::find_owner(conn, &token)?;
    let asked_for = owner(conn)?;
    Ok(held_by.filter(|id| asked_for == Some(*id)).map(|_| token))
}

/// One spelling for all of a name or an address, also for those that a log-in takes for another name: an
/// internationalised domain has many, and so have letters of other widths and styles.
pub(super) fn canonical_login_identifier(name: &str) -> String {
    let folded = Username::normalise(name);
    match Email::parse(name).or_else(|_| Email::parse(&folded)) {
        Ok(email) => email.normalised().to_owned(),
        Err(_) => folded,
    }
}

/// The counters of a guess. What is submitted counts, whether there is such an account or not.
fn guesses_of(name: &str, device: &Device, known: Option<&TokenHash>) -> Vec<Counter> {
    let name = canonical_login_identifier(name);
    match known {
        Some(token) => {
            vec![Counter::new(
                Counted::FailedLoginsOfAccountInNetwork,
                format!("{name}\0device:{}", token.to_text()),
            )]
        }
        None => vec![
            Counter::new(Counted::FailedLoginsInARow, &name),
            Counter::new(Counted::FailedLoginsOfAccount, &name),
            Counter::new(
                Counted::FailedLoginsOfAccountInNetwork,
                format!("{name}\0{}", device.network),
            ),
        ],
    }
}

/// Counts one use on each counter, or refuses and counts none: the refusal undoes the transaction. Returns
/// the bounds that were reached.
pub(super) fn reserve(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Limits,
    mut counters: Vec<Counter>,
    now: UtcTime,
) -> Result<Vec<LimitHit>> {
    // Always in the same order: two that each hold what the other waits for would wait for ever.
    counters.sort();
    let mut reached = Vec::new();
    for counter in counters {
        let (_, bound) = reserve_one(conn, secrets, bounds, counter, now)?;
        reached.extend(bound);
    }
    Ok(reached)
}

/// Counts one use, or refuses. Returns the number of uses in the window, and the bound if it was reached.
pub(super) fn reserve_one(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Limits,
    counter: Counter,
    now: UtcTime,
) -> Result<(i64, Option<LimitHit>)> {
    let (what, name) = (counter.counted, secrets.counter_name(&counter));
    let window_ends = now.after(bounds.rate(what).window);
    let used = match limits::use_counter(conn, &name, window_ends, now)? {
        Ok(used) => used,
        Err(_) if what == Counted::FailedLoginsInARow => return Err(Error::ProofRequired),
        Err(until) => return Err(over_the_limit(what, until.remaining(now))),
    };
    let wait = bounds.wait_after(what, used.uses, used.resets_at.remaining(now));
    if wait.is_zero() {
        return Ok((used.uses, None));
    }
    let meanwhile = Limits::wait_meanwhile(what, wait);
    limits::set_wait(conn, &name, now.after(meanwhile))?;
    Ok((used.uses, Some(LimitHit { counter, waits_until: now.after(wait) })))
}

/// Returns the refusal of a use that has to wait.
pub(super) fn over_the_limit(counted: Counted, wait: Duration) -> Error {
    tracing::info!(target: REFUSALS, counted = counted.name(), "refused: over the limit");
    Error::RateLimited(wait.max(Duration::from_secs(1)))
}

/// The guess was wrong: the bounds that it reached hold.
pub(super) fn start_cooldown(
    conn: &mut Conn,
    secrets: &Secrets,
    reached: &[LimitHit],
) -> store::Result<()> {
    for LimitHit { counter, waits_until } in reached {
        limits::set_wait(conn, &secrets.counter_name(counter), *waits_until)?;
    }
    Ok(())
}

/// Somebody at `device` has proven by mail to be the owner: guesses, the own ones from there included, count
/// no longer.
pub(super) fn reset_failed_logins(
    conn: &mut Conn,
    secrets: &Secrets,
    user: &User,
    device: &Device,
) -> store::Result<()> {
    for name in [user.username.as_str(), user.email_text()] {
        for guess in guesses_of(name, device, None) {
            limits::clear(conn, &secrets.counter_name(&guess))?;
        }
    }
    Ok(())
}
