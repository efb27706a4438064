//! Budgets of mails that an anonymous client can request for an e-mail address. A request is
//! counted when it arrives, the same for known and unknown addresses: by network, and by mailbox
//! and class of mail. The first requests of networks have a budget of their own, which repeats
//! cannot exhaust, and so have their second ones. If many networks exhaust these, one mail in half
//! an hour is still sent. Of the budgets of the service, to a domain and in all, the later requests
//! of networks may use a part only.

use std::time::Duration;

use crate::domain::secrets::Secrets;
use crate::domain::{
    ChallengeKind, Counted, Counter, Device, Email, LimitReports, MAILBOX_LATE, MailClass,
    MailRequest, MailShare, UtcTime,
};
use crate::flows::bounds::Bounds;
use crate::flows::limits::{reserve, reserve_all};
use crate::flows::{Error, Flows, Result};
use crate::store::limits::{self, Returned};
use crate::store::outbox::QueuedMail;
use crate::store::{Conn, WriteKind};

/// Number of a request that has no share of what is kept for first ones.
const REPEAT: i64 = 2;

impl Flows {
    /// Counts a request for a mail and runs `work`, which queues it for the given time. If that
    /// fails, only the network is charged; if the service is overloaded, nothing is.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] if a budget is exhausted, or if the mail could only be sent after its
    /// link has expired.
    pub(crate) fn request_mail<T>(
        &self,
        request: &MailRequest,
        work: impl FnOnce(UtcTime) -> Result<T>,
    ) -> Result<T> {
        let Some(bounds) = self.bounds() else { return work(self.now()) };
        let (secrets, now, request) = (self.secrets.clone(), self.now(), request.clone());
        let granted = self.db.write_as(WriteKind::Lazy, move |conn| {
            match reserve_request(conn, &secrets, &bounds, &request, now)? {
                Decision::Granted(granted) => Ok(granted),
                Decision::TooLate(error) => Err(error),
            }
        })?;
        self.release_unless_done(granted.used, || work(granted.send_at))
    }

    /// Counts a request for a password reset and runs `work` with its number among the requests of
    /// its network. Beyond the budgets of first and second requests, `work` is skipped if a mail
    /// whose link is still valid was sent before. The next request of that network has the same
    /// number again.
    pub(crate) fn request_reset(
        &self,
        request: &MailRequest,
        work: impl FnOnce(i64) -> Result<()>,
    ) -> Result<()> {
        let Some(bounds) = self.bounds() else { return work(1) };
        let (secrets, now, request) = (self.secrets.clone(), self.now(), request.clone());
        let decision = self.db.write_as(WriteKind::Lazy, move |conn| {
            let decision = reserve_request(conn, &secrets, &bounds, &request, now)?;
            if matches!(decision, Decision::TooLate(_)) {
                let numbers = request.of_network_daily();
                let numbers = numbers.map(|it| Returned::of(secrets.counter_name(&it), 1));
                limits::release(conn, &numbers)?;
            }
            Ok::<_, Error>(decision)
        })?;
        match decision {
            Decision::Granted(Granted { used, rank, .. }) => {
                self.release_unless_done(used, || work(rank))
            }
            Decision::TooLate(_) => Ok(()),
        }
    }

    fn release_unless_done<T>(
        &self,
        used: Vec<Counter>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let outcome = work();
        if let Err(error) = &outcome {
            let is_temporary = error.is_temporary();
            let undone = used.into_iter().filter(|it| is_temporary || !it.counted.is_of_client());
            self.release(undone.collect());
        }
        outcome
    }

    /// Returns the budget of the mails that are composed for `order`. A mail is counted at its
    /// first attempt only.
    pub(crate) fn mail_budget(&self, order: &QueuedMail) -> MailBudget {
        // No request of a developer waits for the worker, so its refusals could not be reported.
        let is_enforced = self.policy.limit_reports == LimitReports::Never;
        MailBudget {
            bounds: self.bounds().filter(|_| order.job.attempts == 0 && is_enforced),
            secrets: self.secrets.clone(),
        }
    }
}

/// Budget of a mail that is being composed.
#[derive(Clone)]
pub(crate) struct MailBudget {
    bounds: Option<Bounds>,
    secrets: Secrets,
}

impl MailBudget {
    /// Counts a password reset for its domain and in all. Requests for unknown addresses get no
    /// mail, so they cannot use that budget up.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] if it is used up: the mail has to wait.
    pub(crate) fn reserve_reset(
        &self,
        conn: &mut Conn,
        order: &QueuedMail,
        now: UtcTime,
    ) -> Result<()> {
        let kind = ChallengeKind::ResetPassword;
        let request = MailRequest::new(kind, &order.recipient, &Device::default());
        if let Some(bounds) = &self.bounds {
            let counters = request.of_service(bounds.limits.share(order.job.rank));
            reserve(conn, &self.secrets, bounds, counters, now)?;
        }
        Ok(())
    }

    /// Counts one more mail of the same request. Returns false if the budget is used up.
    pub(crate) fn reserve_further(
        &self,
        conn: &mut Conn,
        recipient: &Email,
        now: UtcTime,
    ) -> Result<bool> {
        let Some(bounds) = &self.bounds else { return Ok(true) };
        let kind = ChallengeKind::Registration;
        let request = MailRequest::new(kind, recipient, &Device::default());
        // It must not use up what is kept for the requests of other networks.
        let mut counters = request.of_service(MailShare::Bulk);
        counters.push(request.further());
        if !bounds.are_reported() && find_wait(conn, &self.secrets, &counters, now)?.is_some() {
            return Ok(false);
        }
        reserve(conn, &self.secrets, bounds, counters, now)?;
        Ok(true)
    }
}

/// Result of counting a request.
enum Decision {
    /// Queue the mail.
    Granted(Granted),
    /// Queue none: the budgets are exhausted, and no slot beyond them is free in time.
    TooLate(Error),
}

/// A request that was counted.
struct Granted {
    /// Its uses.
    used: Vec<Counter>,
    /// Time at which the mail is sent.
    send_at: UtcTime,
    /// Number of the request among those of its network on that day.
    rank: i64,
}

/// Counts a request on all its counters, or refuses.
fn reserve_request(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    request: &MailRequest,
    now: UtcTime,
) -> Result<Decision> {
    let mut used = request.of_network();
    used.extend(request.of_network_daily());
    let of_network = reserve_all(conn, secrets, bounds, used.clone(), now)?;
    let rank = of_network.uses(Counted::MailOfNetworkDaily);
    let number = of_network.uses(Counted::MailboxOfNetworkDaily);
    let mut firsts = request.firsts_of_block(rank, number);
    let exceeded = reserve_all(conn, secrets, bounds, firsts.clone(), now)?.exceeded;
    firsts.retain(|it| !exceeded.contains(&it.counted));
    used.extend(firsts);
    // A block with many networks has as little as its networks would have with repeats.
    let rank = if exceeded.contains(&Counted::NetworksOfBlock) { REPEAT } else { rank };
    let of_mailbox = request.of_mailbox(number);
    let is_within_budget = !exceeded.contains(&Counted::MailboxFirstsOfBlock)
        && reserve_all(conn, secrets, bounds, vec![of_mailbox.clone()], now)?.exceeded.is_empty();
    let send_at = if is_within_budget {
        used.push(of_mailbox);
        now
    } else {
        // Anonymous clients in many networks can exhaust the budgets of first and second requests,
        // but the owner of the mailbox still gets a mail. Later requests get no such slot: one
        // network could take those of others.
        match take_late_slot(conn, secrets, bounds, (request, number), now) {
            Ok(slot) => {
                used.push(request.late());
                slot
            }
            Err(error @ Error::RateLimited(_)) => return Ok(Decision::TooLate(error)),
            Err(error) => return Err(error),
        }
    };
    let of_service = request.of_service(bounds.limits.share(rank));
    match request.class {
        // Each of these requests has a mail sent.
        MailClass::Verification => {
            reserve(conn, secrets, bounds, of_service.clone(), now)?;
            used.extend(of_service);
        }
        MailClass::Reset => refuse_late_reset(conn, secrets, bounds, &of_service, now)?,
    }
    Ok(Decision::Granted(Granted { used, send_at, rank }))
}

/// Takes the next slot for a mail beyond the budgets of first and second requests, one per
/// [`MAILBOX_LATE`], and returns its time. Verifications of first requests wait for their slot. A
/// reset is sent at once or not at all: until the next slot the link of the last one is valid.
///
/// # Errors
///
/// [`Error::RateLimited`] if the link of the mail would have expired by then.
fn take_late_slot(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    (request, number): (&MailRequest, i64),
    now: UtcTime,
) -> Result<UtcTime> {
    let name = secrets.counter_name(&request.late());
    // The latest slot of any kind of mail: a later time is from before the clock was set back.
    let latest = now.after(ChallengeKind::Registration.lifetime()).after(MAILBOX_LATE);
    let slot = match limits::use_counter(conn, &name, latest, now)? {
        Err(taken_until) => taken_until,
        Ok(_) => now,
    };
    let wait = slot.remaining(now);
    let longest = match request.class {
        MailClass::Verification if number == 1 => request.lifetime,
        MailClass::Verification | MailClass::Reset => Duration::ZERO,
    };
    if !wait.is_zero() && wait >= longest {
        bounds.refuse(Counted::MailboxLate, wait.saturating_sub(longest))?;
        // The limit is only reported.
        return Ok(now);
    }
    limits::set_wait(conn, &name, slot.after(MAILBOX_LATE))?;
    Ok(if bounds.are_reported() { now } else { slot })
}

/// Refuses a reset whose mail would have to wait for longer than its link lives.
fn refuse_late_reset(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    of_service: &[Counter],
    now: UtcTime,
) -> Result<()> {
    match find_wait(conn, secrets, of_service, now)? {
        Some((counter, until))
            if until.remaining(now) >= ChallengeKind::ResetPassword.lifetime() =>
        {
            bounds.refuse(counter.counted, until.remaining(now))
        }
        _ => Ok(()),
    }
}

/// Returns the counter with the longest wait, if one is used up.
fn find_wait<'a>(
    conn: &mut Conn,
    secrets: &Secrets,
    counters: &'a [Counter],
    now: UtcTime,
) -> Result<Option<(&'a Counter, UtcTime)>> {
    let mut longest = None;
    for counter in counters {
        let until = limits::find_wait(conn, &secrets.counter_name(counter), now)?;
        longest = longest.max(until.map(|until| (until, counter)));
    }
    Ok(longest.map(|(until, counter)| (counter, until)))
}
