//! Budgets of mails that an anonymous client can request for an e-mail address. A request is
//! counted when it arrives, the same for known and unknown addresses: by network, and by mailbox
//! and class of mail. The first requests of networks have a budget of their own, which repeats
//! cannot exhaust. If many networks exhaust it, one mail in half an hour is still sent, for a first
//! request.

use crate::domain::secrets::Secrets;
use crate::domain::{
    ChallengeKind, Counted, Counter, Device, Email, MAILBOX_LATE, MailClass, MailRequest, UtcTime,
};
use crate::flows::bounds::Bounds;
use crate::flows::limits::{reserve, reserve_one};
use crate::flows::{Error, Flows, Result};
use crate::store::Conn;
use crate::store::limits::{self, Returned};
use crate::store::outbox::QueuedMail;

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
        let (used, send_at) = self.db.write(move |conn| {
            match reserve_request(conn, &secrets, &bounds, &request, now)? {
                Granted::Mail(used, send_at) => Ok((used, send_at)),
                Granted::TooLate(error) => Err(error),
            }
        })?;
        self.release_unless_done(used, || work(send_at))
    }

    /// Counts a request for a password reset and runs `work`. Beyond the budget of first requests,
    /// `work` is skipped if a mail whose link is still valid was sent before. The next request of
    /// that network is its first one again.
    pub(crate) fn request_reset(
        &self,
        request: &MailRequest,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Some(bounds) = self.bounds() else { return work() };
        let (secrets, now, request) = (self.secrets.clone(), self.now(), request.clone());
        let granted = self.db.write(move |conn| {
            let granted = reserve_request(conn, &secrets, &bounds, &request, now)?;
            if matches!(granted, Granted::TooLate(_)) {
                let name = secrets.counter_name(&request.of_network_daily());
                limits::release(conn, &[Returned::of(name, 1)])?;
            }
            Ok::<_, Error>(granted)
        })?;
        match granted {
            Granted::Mail(used, _) => self.release_unless_done(used, work),
            Granted::TooLate(_) => Ok(()),
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
        MailBudget {
            bounds: self.bounds().filter(|_| order.attempts == 0),
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
            reserve(conn, &self.secrets, bounds, request.of_service(), now)?;
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
        let mut counters = request.of_service();
        counters.push(request.further());
        if !bounds.are_reported() && find_wait(conn, &self.secrets, &counters, now)?.is_some() {
            return Ok(false);
        }
        reserve(conn, &self.secrets, bounds, counters, now)?;
        Ok(true)
    }
}

/// Result of counting a request.
enum Granted {
    /// Queue the mail, to be sent at that time. These uses were counted.
    Mail(Vec<Counter>, UtcTime),
    /// Queue none: the budget of first requests is exhausted, and no slot beyond it is free in
    /// time.
    TooLate(Error),
}

/// Counts a request on all its counters, or refuses.
fn reserve_request(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    request: &MailRequest,
    now: UtcTime,
) -> Result<Granted> {
    let mut used = request.of_network();
    reserve(conn, secrets, bounds, used.clone(), now)?;
    let of_network_daily = request.of_network_daily();
    let requests = reserve_one(conn, secrets, bounds, &of_network_daily, now)?;
    used.push(of_network_daily);
    let of_mailbox = request.of_mailbox(requests == 1);
    let (of_mailbox, send_at) = match reserve_one(conn, secrets, bounds, &of_mailbox, now) {
        Ok(_) => (of_mailbox, now),
        // Anonymous clients in many networks can exhaust the budget of first requests, but the
        // owner of the mailbox still gets a mail. Repeats get no such slot: one network could take
        // that of another.
        Err(Error::RateLimited(_)) if of_mailbox.counted == Counted::MailboxFirsts => {
            match take_late_slot(conn, secrets, bounds, request, now) {
                Ok(slot) => (request.late(), slot),
                Err(error @ Error::RateLimited(_)) => return Ok(Granted::TooLate(error)),
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    used.push(of_mailbox);
    match request.class {
        // Each of these requests has a mail sent.
        MailClass::Verification => {
            reserve(conn, secrets, bounds, request.of_service(), now)?;
            used.extend(request.of_service());
        }
        MailClass::Reset => refuse_late_reset(conn, secrets, bounds, request, now)?,
    }
    Ok(Granted::Mail(used, send_at))
}

/// Takes the next slot for a mail beyond the budget of first requests, one per [`MAILBOX_LATE`],
/// and returns its time. A reset is sent at once or not at all: until the next slot the link of the
/// last one is valid.
///
/// # Errors
///
/// [`Error::RateLimited`] if the link of the mail would have expired by then.
fn take_late_slot(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    request: &MailRequest,
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
    let (is_too_late, retry_after) = match request.class {
        MailClass::Verification => {
            (wait >= request.lifetime, wait.saturating_sub(request.lifetime))
        }
        MailClass::Reset => (!wait.is_zero(), wait),
    };
    if is_too_late {
        bounds.refuse(Counted::MailboxLate, retry_after)?;
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
    request: &MailRequest,
    now: UtcTime,
) -> Result<()> {
    match find_wait(conn, secrets, &request.of_service(), now)? {
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
