//! Rate limits: counters, their windows and the waits that they lead to.

mod counted;
pub mod mail_request;
mod mailbox;
pub mod share;

use std::time::Duration;

use super::UtcTime;

pub use counted::Counted;

/// A number of uses per window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Uses that are allowed in a window.
    pub uses: i64,
    /// Length of a window, from its first use.
    pub window: Duration,
}

impl Rate {
    /// Returns the rate of `uses` per window.
    pub const fn new(uses: i64, window: Duration) -> Self {
        Self { uses, window }
    }
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// A time that only a success or a verification by mail ends.
const UNTIL_SUCCESS: Duration = Duration::from_hours(365 * 24);
/// Remainder of that time when few consecutive failures are deleted, a week after the first.
const LEFT_AFTER_A_WEEK: Duration = Duration::from_hours(358 * 24);

/// Fewer consecutive failures than this are deleted after a week: otherwise every text that was
/// ever entered as a name would stay for a year.
pub const FEW_FAILURES: i64 = 10;

/// Log-ins of one account on its known devices, as a multiple of the attempts of one network.
const ATTEMPTS_OF_USER: i64 = 2;
/// Log-ins on known devices in one network, as the same multiple: an office is one network.
const KNOWN_DEVICES_OF_NETWORK: i64 = 4;

/// More than a user needs to change the password or the address.
const HASHES_OF_USER: Rate = Rate::new(20, HOUR);

/// More than a script of staff creates; each takes a quarter of a second of one core.
const HASHES_OF_STAFF: Rate = Rate::new(600, HOUR);

/// Interval of mails beyond the budget of a mailbox: the lifetime of the link of a reset.
pub const MAILBOX_LATE: Duration = Duration::from_mins(30);

/// An export reads all data of a user.
const EXPORTS_OF_USER: Rate = Rate::new(10, HOUR);

/// Wait of concurrent attempts while a guess that reached a limit is compared. Longer than a
/// comparison takes.
const COMPARING: Duration = Duration::from_secs(20);

/// The first wait beyond [`Counted::FailedLoginsPerAccount`]; each further one is twice as long.
const FIRST_WAIT: Duration = MINUTE;
/// The longest wait, so that no user is locked out for good.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// Requests whose refusals by limits are reported instead of enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReports {
    /// None: limits are enforced.
    Never,
    /// Those of a developer on this machine.
    FromThisMachine,
    /// All.
    Always,
}

/// The limits of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For [`Counted::FailedLoginsPerNetwork`].
    pub failed_logins_per_network: Rate,
    /// For [`Counted::FailedLoginsPerAccount`].
    pub failed_logins_per_account: Rate,
    /// For [`Counted::ConsecutiveFailedLogins`].
    pub failed_logins_consecutive: i64,
    /// For [`Counted::AttemptsOfNetwork`], [`Counted::ProofsOfNetwork`] and
    /// [`Counted::HashesOfNetwork`]; multiples of it for [`Counted::AttemptsOfUser`] and
    /// [`Counted::KnownDevicesOfNetwork`].
    pub attempts_of_network: Rate,
    /// For [`Counted::RefreshesOfNetwork`].
    pub refreshes_of_network: Rate,
    /// For [`Counted::MailboxOfNetworkHourly`].
    pub mailbox_hourly: i64,
    /// For [`Counted::MailboxFirstsOfBlock`]; one and a half times for [`Counted::MailboxFirsts`];
    /// half of it for the other counters of a mailbox in a day.
    pub mailbox_daily: i64,
    /// For [`Counted::MailOfNetwork`] and [`Counted::AddressesOfUser`].
    pub mail_of_network: i64,
    /// For [`Counted::MailsToDomain`].
    pub mails_to_domain: i64,
    /// For [`Counted::MailsInAll`]; a hundredth for [`Counted::NetworksOfBlock`].
    pub mails_in_all: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failed_logins_per_network: Rate::new(5, 15 * MINUTE),
            failed_logins_per_account: Rate::new(20, HOUR),
            failed_logins_consecutive: 100,
            attempts_of_network: Rate::new(30, MINUTE),
            refreshes_of_network: Rate::new(1_200, MINUTE),
            mailbox_hourly: 3,
            mailbox_daily: 10,
            mail_of_network: 20,
            mails_to_domain: 5_000,
            mails_in_all: 10_000,
        }
    }
}

impl Limits {
    /// Returns the rate of a kind of counter.
    pub fn rate(&self, counted: Counted) -> Rate {
        match counted {
            Counted::ConsecutiveFailedLogins => {
                Rate::new(self.failed_logins_consecutive, UNTIL_SUCCESS)
            }
            Counted::FailedLoginsPerAccount => self.failed_logins_per_account,
            Counted::FailedLoginsPerNetwork => self.failed_logins_per_network,
            Counted::HashesOfUser => HASHES_OF_USER,
            Counted::HashesOfStaff => HASHES_OF_STAFF,
            Counted::ExportsOfUser => EXPORTS_OF_USER,
            Counted::AttemptsOfNetwork | Counted::HashesOfNetwork | Counted::ProofsOfNetwork => {
                self.attempts_of_network
            }
            Counted::AttemptsOfUser => self.attempts_times(ATTEMPTS_OF_USER),
            Counted::KnownDevicesOfNetwork => self.attempts_times(KNOWN_DEVICES_OF_NETWORK),
            Counted::RefreshesOfNetwork => self.refreshes_of_network,
            Counted::MailboxOfNetworkHourly => Rate::new(self.mailbox_hourly, HOUR),
            // One network gets at most half of a mailbox's budget. Second requests do not reduce the
            // budget of first ones, nor later ones that of second ones.
            Counted::MailboxOfNetworkDaily
            | Counted::MailboxSeconds
            | Counted::MailboxRepeats
            | Counted::MailboxFurther => Rate::new(part(self.mailbox_daily, 2), DAY),
            Counted::MailboxFirstsOfBlock => Rate::new(self.mailbox_daily, DAY),
            Counted::MailOfNetworkDaily => Rate::new(i64::MAX, DAY),
            Counted::NetworksOfBlock => Rate::new(part(self.mails_in_all, 100), DAY),
            Counted::MailOfNetwork | Counted::AddressesOfUser => {
                Rate::new(self.mail_of_network, HOUR)
            }
            Counted::MailboxFirsts => {
                Rate::new(self.mailbox_daily.saturating_add(self.mailbox_daily / 2), DAY)
            }
            Counted::MailboxLate => Rate::new(1, MAILBOX_LATE),
            Counted::MailsToDomain(share) => {
                Rate::new(part(self.mails_to_domain, share.divisor()), DAY)
            }
            Counted::MailsInAll(share) => Rate::new(part(self.mails_in_all, share.divisor()), DAY),
        }
    }

    /// Returns the end of a window that begins at `now`.
    pub fn window_ends(&self, counted: Counted, now: UtcTime) -> UtcTime {
        if counted.is_by_calendar() {
            now.next_midnight()
        } else {
            now.after(self.rate(counted).window)
        }
    }

    fn attempts_times(&self, factor: i64) -> Rate {
        let Rate { uses, window } = self.attempts_of_network;
        Rate::new(uses.saturating_mul(factor), window)
    }

    /// Returns the latest end of the window of a counter with few failures that is deleted at
    /// `now`.
    pub fn few_failures_end(now: UtcTime) -> UtcTime {
        now.after(LEFT_AFTER_A_WEEK)
    }

    /// Returns the wait of concurrent attempts while it is not yet known whether an attempt has
    /// failed.
    pub fn wait_meanwhile(counted: Counted, wait: Duration) -> Duration {
        match counted {
            _ if counted.is_guess() => wait.min(COMPARING),
            _ => wait,
        }
    }

    /// Returns the wait of the uses after the `uses`th, in a window that ends after `left`.
    pub fn wait_after(&self, counted: Counted, uses: i64, left: Duration) -> Duration {
        let bound = self.rate(counted).uses;
        if uses < bound {
            Duration::ZERO
        } else if counted == Counted::FailedLoginsPerAccount {
            let doublings = u32::try_from(uses - bound).unwrap_or(u32::MAX).min(10);
            FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
        } else {
            left
        }
    }
}

/// Returns a part of a budget, at least one use.
fn part(budget: i64, divisor: i64) -> i64 {
    (budget / divisor).max(1)
}

/// A counter: its kind, and its subject as submitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// Kind of the counter.
    pub counted: Counted,
    /// The subject. It is hashed with a key before it is stored.
    pub subject: String,
}

impl Counter {
    /// Returns the counter of `counted` for `subject`.
    pub fn new(counted: Counted, subject: impl Into<String>) -> Self {
        Self { counted, subject: subject.into() }
    }
}

/// A limit that a use has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHit {
    /// The counter that is at its limit.
    pub counter: Counter,
    /// Time of the next permitted use, if this use turns out to be a wrong guess.
    pub waits_until: UtcTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let limits = Limits::default();
        let minutes =
            |uses| limits.wait_after(Counted::FailedLoginsPerAccount, uses, HOUR).as_secs() / 60;
        assert_eq!([19, 20, 21, 22, 23, 24, 99].map(minutes), [0, 1, 2, 4, 8, 15, 15]);
        let left = Duration::from_secs(77);
        assert_eq!(limits.wait_after(Counted::FailedLoginsPerNetwork, 4, left), Duration::ZERO);
        assert_eq!(limits.wait_after(Counted::FailedLoginsPerNetwork, 5, left), left);
    }
}
