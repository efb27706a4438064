//! How often something may be tried. Uses are counted before the work that they cost, in the database, for
//! all instances together. Nothing here keeps a person out for good: failures of others make waits that
//! end, known devices have counters of their own, and sessions and resets are not counted with log-ins.

use std::time::Duration;

use super::{Error, Flows, Result};
use crate::domain::token::Secrets;
use crate::domain::{
    Counted, Counter, Device, Email, Limits, PlainToken, Scene, SessionId, TokenHash, User, UserId,
    Username, UtcTime,
};
use crate::store::{self, Conn, known_devices, limits};

/// Where somebody tries to get in.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// The device as it describes itself.
    pub device: Device,
    /// What a device holds that the person has logged in on before.
    pub device_token: Option<PlainToken>,
}

impl Flows {
    /// Counts one use on each counter, or refuses. Returns what nobody may do again for a while.
    pub(super) fn reserve(&self, counters: Vec<Counter>) -> Result<Vec<Counted>> {
        let Some(bounds) = self.policy.limits else { return Ok(Vec::new()) };
        let (secrets, now) = (self.secrets.clone(), self.now());
        self.db.write(move |conn| reserve(conn, &secrets, &bounds, counters, now))
    }

    /// Does `work`, which compares a password given for `name`. The attempt is counted beforehand; if it
    /// was no wrong guess, it is taken back.
    pub(super) fn attempt<T>(
        &self,
        name: &str,
        entrance: &Entrance,
        owner: impl Fn(&mut Conn) -> store::Result<Option<UserId>>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let device = entrance.device_token.as_ref().map(PlainToken::hash);
        let known = self.db.read(|conn| known_device(conn, device, &owner))?;
        let guesses = guesses_of(name, &entrance.device, known.as_ref());
        let network = Counter::new(Counted::AttemptsOfNetwork, &entrance.device.network);
        let mut reached = self.reserve(guesses.iter().cloned().chain([network]).collect())?;
        reached.retain(|counted| guesses.iter().any(|guess| guess.counted == *counted));
        let outcome = work();
        match outcome {
            Err(Error::InvalidCredentials) => {
                self.note_wrong_password(owner, &entrance.device, reached);
            }
            Err(Error::AccountDisabled) => {
                self.note_disabled(owner, &entrance.device);
                self.forgive(guesses);
            }
            Ok(_) => self.forgive(guesses),
            // It was not compared: neither a wrong guess nor a right one.
            Err(_) => self.give_back(guesses),
        }
        outcome
    }

    /// The same for somebody who is logged in and proves once more who they are.
    pub(super) fn attempt_again<T>(
        &self,
        id: UserId,
        session: &SessionId,
        scene: Scene,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // By session: a thief's guesses must not keep the owner from changing the password.
        let subject = format!("user:{id}:{}", session.as_str());
        let guesses = vec![Counter::new(Counted::LoginHere, subject)];
        let reached = self.reserve(guesses.clone())?;
        let outcome = work();
        match outcome {
            Err(Error::InvalidCredentials) => self.note_failed_reauthentication(scene, reached),
            Ok(_) => self.forgive(guesses),
            Err(_) => self.give_back(guesses),
        }
        outcome
    }

    /// Takes back what was counted of an attempt that came to nothing.
    fn give_back(&self, guesses: Vec<Counter>) {
        if self.policy.limits.is_none() {
            return;
        }
        let secrets = self.secrets.clone();
        let given_back = self.db.write(move |conn| {
            for guess in &guesses {
                limits::return_use(conn, &secrets.counter_name(guess))?;
            }
            Ok::<_, Error>(())
        });
        if let Err(error) = given_back {
            tracing::warn!(%error, "an attempt stays counted though it was none");
        }
    }

    /// Takes back what was counted as a guess. If that fails, somebody waits a little.
    fn forgive(&self, guesses: Vec<Counter>) {
        if self.policy.limits.is_none() {
            return;
        }
        let secrets = self.secrets.clone();
        let forgiven =
            self.db.write(move |conn| forgive(conn, &secrets, &guesses).map_err(Error::from));
        if let Err(error) = forgiven {
            tracing::warn!(%error, "an attempt stays counted though it was none");
        }
    }
}

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

/// One spelling for all that lead to the same account: an address is found in its normalised form, in
/// which an internationalised domain has many spellings.
fn one_spelling(name: &str) -> String {
    match Email::parse(name) {
        Ok(email) => email.normalised().to_owned(),
        Err(_) => Username::normalise(name),
    }
}

/// The counters of a guess. What is submitted counts, whether there is such an account or not.
fn guesses_of(name: &str, device: &Device, known: Option<&TokenHash>) -> Vec<Counter> {
    let name = one_spelling(name);
    match known {
        Some(token) => {
            vec![Counter::new(Counted::LoginHere, format!("{name}\0device:{}", token.to_text()))]
        }
        None => vec![
            Counter::new(Counted::LoginInARow, &name),
            Counter::new(Counted::LoginAnywhere, &name),
            Counter::new(Counted::LoginHere, format!("{name}\0{}", device.network)),
        ],
    }
}

/// Counts one use on each counter, or refuses and counts none: the refusal undoes the transaction. Returns
/// what nobody may do again for a while.
pub(super) fn reserve(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Limits,
    mut counters: Vec<Counter>,
    now: UtcTime,
) -> Result<Vec<Counted>> {
    // Always in the same order: two that each hold what the other waits for would wait for ever.
    counters.sort();
    let mut reached = Vec::new();
    for counter in counters {
        let (counted, name) = (counter.counted, secrets.counter_name(&counter));
        let window_ends = now.after(bounds.rate(counted).window);
        match limits::use_counter(conn, &name, window_ends, now)? {
            Ok(used) => {
                let wait = bounds.wait_after(counted, used.uses, used.resets_at.remaining(now));
                if !wait.is_zero() {
                    limits::set_wait(conn, &name, now.after(wait))?;
                    reached.push(counted);
                }
            }
            Err(_) if counted == Counted::LoginInARow => return Err(Error::ProofRequired),
            Err(until) => {
                tracing::info!(counted = counted.name(), "refused: over the limit");
                return Err(Error::RateLimited(until.remaining(now).max(Duration::from_secs(1))));
            }
        }
    }
    Ok(reached)
}

fn forgive(conn: &mut Conn, secrets: &Secrets, guesses: &[Counter]) -> store::Result<()> {
    for guess in guesses {
        let name = secrets.counter_name(guess);
        match guess.counted {
            Counted::LoginAnywhere => limits::return_use(conn, &name)?,
            _ => limits::clear(conn, &name)?,
        }
    }
    Ok(())
}

/// Somebody has proven by mail to be the owner: the guesses of others count no longer.
pub(super) fn forgive_owner(conn: &mut Conn, secrets: &Secrets, user: &User) -> store::Result<()> {
    for name in [user.username.as_str(), user.email_text()] {
        let name = one_spelling(name);
        for counted in [Counted::LoginInARow, Counted::LoginAnywhere] {
            limits::clear(conn, &secrets.counter_name(&Counter::new(counted, &name)))?;
        }
    }
    Ok(())
}
