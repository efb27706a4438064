//! Budgets of mails that an anonymous client can request for an e-mail address. A request is
//! counted when it arrives, the same for known and unknown addresses: by network, and by mailbox
//! and class of mail. Half of a mailbox's budget is reserved for the first requests of other
//! networks, so one network cannot exhaust it. If many networks exhaust it, one mail in half an
//! hour is still sent.

use crate::domain::secrets::Secrets;
use crate::domain::{
    ChallengeKind, Counted, Counter, Device, Email, MailClass, MailRequest, UtcTime,
};
use crate::flows::bounds::Bounds;
use crate::flows::limits::{reserve, reserve_one};
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::QueuedMail;
use crate::store::{Conn, limits};

impl Flows {
    /// Counts a request for a mail and runs `work`, which queues it. If that fails, only the
    /// network is charged; if the service is overloaded, nothing is.
    pub(crate) fn request_mail<T>(
        &self,
        request: &MailRequest,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(bounds) = self.bounds() else { return work() };
        let (secrets, now, request) = (self.secrets.clone(), self.now(), request.clone());
        let granted = self.db.write(move |conn| {
            match reserve_request(conn, &secrets, &bounds, &request, now)? {
                Granted::Mail(used) => Ok(used),
                Granted::Late(error) => Err(error),
            }
        })?;
        self.release_unless_done(granted, work)
    }

    /// Does the same for a password reset. Beyond the budget of the mailbox, `work` is skipped: a
    /// mail whose link is still valid was sent shortly before.
    pub(crate) fn request_reset(
        &self,
        request: &MailRequest,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Some(bounds) = self.bounds() else { return work() };
        let (secrets, now, request) = (self.secrets.clone(), self.now(), request.clone());
        let granted =
            self.db.write(move |conn| reserve_request(conn, &secrets, &bounds, &request, now))?;
        match granted {
            Granted::Mail(used) => self.release_unless_done(used, work),
            Granted::Late(_) => Ok(()),
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
        let request = MailRequest::new(MailClass::Reset, &order.recipient, &Device::default());
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
        let request = MailRequest::new(MailClass::Verification, recipient, &Device::default());
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
    /// Queue the mail. These uses were counted.
    Mail(Vec<Counter>),
    /// Queue none: the budget of the mailbox is exhausted, and a mail was sent shortly before.
    Late(Error),
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
    let (requests, _) = reserve_one(conn, secrets, bounds, of_network_daily.clone(), now)?;
    used.push(of_network_daily);
    let mut rest = request.of_mailbox(requests == 1);
    // Anonymous clients in many networks can exhaust the budget of a mailbox, but its owner still
    // gets a mail.
    if find_wait(conn, secrets, &rest[..1], now)?.is_some() {
        rest = vec![request.late()];
    }
    match request.class {
        // Each of these requests has a mail sent.
        MailClass::Verification => rest.extend(request.of_service()),
        MailClass::Reset => refuse_late_reset(conn, secrets, bounds, request, now)?,
    }
    match reserve(conn, secrets, bounds, rest.clone(), now) {
        Ok(_) => used.extend(rest),
        Err(error @ Error::RateLimited(_)) if rest[0].counted == Counted::MailboxLate => {
            return Ok(Granted::Late(error));
        }
        Err(error) => return Err(error),
    }
    Ok(Granted::Mail(used))
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
