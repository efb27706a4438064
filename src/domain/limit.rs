//! Rate limits: counters, their windows and the waits that they lead to.

pub mod mail_request;
mod mailbox;

use std::time::Duration;

use super::UtcTime;

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

/// Kinds of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Consecutive failed log-ins under one name, on unknown devices. Beyond the limit only a
    /// verification by mail helps.
    ConsecutiveFailedLogins,
    /// Failed log-ins under one name on all unknown devices. Beyond the limit the waits grow up to
    /// a maximum.
    FailedLoginsPerAccount,
    /// Failed log-ins under one name on one known device, or from one network; wrong passwords in
    /// one session, or with one link of a mail.
    FailedLoginsPerNetwork,
    /// Log-ins from one network, or on one known device, right or wrong.
    AttemptsOfNetwork,
    /// Log-ins of one account on all its known devices, right or wrong.
    AttemptsOfUser,
    /// Log-ins on known devices in one network, right or wrong. Beyond the limit their hashes queue
    /// like those of other devices.
    KnownDevicesOfNetwork,
    /// Requests of one user that hash a password, in sessions or with mails of password resets.
    HashesOfUser,
    /// Accounts that one member of staff creates with a password.
    HashesOfStaff,
    /// Requests of logged-in users in one network that hash a password.
    HashesOfNetwork,
    /// Exports of one user.
    ExportsOfUser,
    /// Codes and links from one network, right or wrong.
    ProofsOfNetwork,
    /// Refreshes from one network.
    RefreshesOfNetwork,
    /// Requests of one class from one network for mails to one mailbox, in an hour.
    MailboxOfNetworkHourly,
    /// Requests of one class from one network for mails to one mailbox, in a day.
    MailboxOfNetworkDaily,
    /// Requests from one network for mails to any mailbox.
    MailOfNetwork,
    /// Requests of one class from one network for mails to any mailbox, on one day. It has no limit:
    /// the number decides which share of the budgets of the service a mail may use.
    MailOfNetworkDaily,
    /// Networks of one block with a request of one class on one day. Those beyond have no share of
    /// what is kept for first requests.
    NetworksOfBlock,
    /// Networks of one block with a request of one class for mails to one mailbox in a day.
    MailboxFirstsOfBlock,
    /// Requests of one user that send a mail to another e-mail address, or reveal whether it is
    /// taken.
    AddressesOfUser,
    /// Requests of one class for mails to one mailbox that are the first of their network in a day.
    MailboxFirsts,
    /// Requests of one class for mails to one mailbox that are the second of their network in a day.
    MailboxSeconds,
    /// Requests of one class for mails to one mailbox that are a later one of their network.
    MailboxRepeats,
    /// Mails to one mailbox beyond the first of a request: each of its pending registrations has
    /// one.
    MailboxFurther,
    /// First requests beyond [`Self::MailboxFirsts`], and second ones beyond
    /// [`Self::MailboxSeconds`]. Stores the time until which the slots of their mails are taken.
    MailboxLate,
    /// Mails of one class to one domain, on one day.
    MailsToDomain,
    /// Those of them that are not the first of their network on that day.
    RepeatsToDomain,
    /// Those of them that are beyond the number of [`Self::MailOfNetwork`].
    BulkToDomain,
    /// Mails of one class in all, on one day.
    MailsInAll,
    /// Those of them that are not the first of their network on that day.
    RepeatsInAll,
    /// Those of them that are beyond the number of [`Self::MailOfNetwork`].
    BulkInAll,
}

impl Counted {
    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailedLogins => "login_in_a_row",
            Self::FailedLoginsPerAccount => "login_anywhere",
            Self::FailedLoginsPerNetwork => "login_here",
            Self::AttemptsOfNetwork => "attempts_of_network",
            Self::AttemptsOfUser => "attempts_of_user",
            Self::KnownDevicesOfNetwork => "known_devices_of_network",
            Self::HashesOfUser => "hashes_of_user",
            Self::HashesOfStaff => "hashes_of_staff",
            Self::HashesOfNetwork => "hashes_of_network",
            Self::ExportsOfUser => "exports_of_user",
            Self::ProofsOfNetwork => "proofs_of_network",
            Self::RefreshesOfNetwork => "refreshes_of_network",
            Self::MailboxOfNetworkHourly => "mailbox_of_network_hourly",
            Self::MailboxOfNetworkDaily => "mailbox_of_network_daily",
            Self::MailOfNetwork => "mail_of_network",
            Self::MailOfNetworkDaily => "mail_of_network_daily",
            Self::NetworksOfBlock => "networks_of_block",
            Self::MailboxFirstsOfBlock => "mailbox_firsts_of_block",
            Self::AddressesOfUser => "addresses_of_user",
            Self::MailboxFirsts => "mailbox_firsts",
            Self::MailboxSeconds => "mailbox_seconds",
            Self::MailboxRepeats => "mailbox_repeats",
            Self::MailboxFurther => "mailbox_further",
            Self::MailboxLate => "mailbox_late",
            Self::MailsToDomain => "mails_to_domain",
            Self::RepeatsToDomain => "repeats_to_domain",
            Self::BulkToDomain => "bulk_to_domain",
            Self::MailsInAll => "mails_in_all",
            Self::RepeatsInAll => "repeats_in_all",
            Self::BulkInAll => "bulk_in_all",
        }
    }

    /// Returns the setting that changes its limit; `None` if the limit is fixed.
    pub const fn setting(self) -> Option<&'static str> {
        Some(match self {
            Self::ConsecutiveFailedLogins => "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE",
            Self::FailedLoginsPerAccount => "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT",
            Self::FailedLoginsPerNetwork => "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK",
            Self::AttemptsOfNetwork
            | Self::AttemptsOfUser
            | Self::KnownDevicesOfNetwork
            | Self::HashesOfNetwork
            | Self::ProofsOfNetwork => "HALLPASS_LIMIT_NETWORK",
            Self::RefreshesOfNetwork => "HALLPASS_LIMIT_REFRESH",
            Self::MailboxOfNetworkHourly => "HALLPASS_LIMIT_MAIL_HOURLY",
            Self::MailboxOfNetworkDaily
            | Self::MailboxFirstsOfBlock
            | Self::MailboxFirsts
            | Self::MailboxSeconds
            | Self::MailboxRepeats
            | Self::MailboxFurther
            | Self::MailboxLate => "HALLPASS_LIMIT_MAIL_DAILY",
            Self::MailOfNetwork | Self::AddressesOfUser => "HALLPASS_LIMIT_MAIL_NETWORK",
            Self::MailsToDomain | Self::RepeatsToDomain | Self::BulkToDomain => {
                "HALLPASS_LIMIT_MAIL_DOMAIN"
            }
            Self::NetworksOfBlock | Self::MailsInAll | Self::RepeatsInAll | Self::BulkInAll => {
                "HALLPASS_LIMIT_MAIL_TOTAL"
            }
            Self::HashesOfUser
            | Self::HashesOfStaff
            | Self::ExportsOfUser
            | Self::MailOfNetworkDaily => return None,
        })
    }

    /// Returns whether a failed request stays counted, because it is charged to the network.
    pub const fn is_of_client(self) -> bool {
        matches!(self, Self::MailOfNetwork)
    }

    /// Returns whether uses are guesses, which are charged only after they turn out to be wrong.
    pub const fn is_guess(self) -> bool {
        matches!(
            self,
            Self::ConsecutiveFailedLogins
                | Self::FailedLoginsPerAccount
                | Self::FailedLoginsPerNetwork
        )
    }

    /// Returns whether a use beyond the limit continues with a lower priority instead of a refusal.
    pub const fn is_lenient(self) -> bool {
        matches!(
            self,
            Self::KnownDevicesOfNetwork
                | Self::NetworksOfBlock
                | Self::MailboxFirstsOfBlock
                | Self::MailboxFirsts
                | Self::MailboxSeconds
        )
    }

    /// Returns whether its window is the day of the calendar (UTC). Counters of parts of a budget
    /// begin with that of the whole: otherwise the parts of two of their windows would fit in one of
    /// the whole.
    const fn is_by_calendar(self) -> bool {
        matches!(
            self,
            Self::MailOfNetworkDaily
                | Self::NetworksOfBlock
                | Self::MailsToDomain
                | Self::RepeatsToDomain
                | Self::BulkToDomain
                | Self::MailsInAll
                | Self::RepeatsInAll
                | Self::BulkInAll
        )
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

/// The limits of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For [`Counted::FailedLoginsPerNetwork`].
    pub failed_logins_per_network: Rate,
    /// For [`Counted::FailedLoginsPerAccount`].
    pub failed_logins_per_account: Rate,
    /// For [`Counted::ConsecutiveFailedLogins`].
    pub failed_logins_consecutive: i64,
    /// For [`Counted::AttemptsOfNetwork`] and [`Counted::ProofsOfNetwork`]; multiples of it for
    /// [`Counted::AttemptsOfUser`] and [`Counted::KnownDevicesOfNetwork`].
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
    /// For [`Counted::MailsToDomain`]; half for [`Counted::RepeatsToDomain`] and a quarter for
    /// [`Counted::BulkToDomain`].
    pub mails_to_domain: i64,
    /// For [`Counted::MailsInAll`], with the same parts; a hundredth for
    /// [`Counted::NetworksOfBlock`].
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
            Counted::MailsToDomain => Rate::new(self.mails_to_domain, DAY),
            Counted::RepeatsToDomain => Rate::new(part(self.mails_to_domain, 2), DAY),
            Counted::BulkToDomain => Rate::new(part(self.mails_to_domain, 4), DAY),
            Counted::MailsInAll => Rate::new(self.mails_in_all, DAY),
            Counted::RepeatsInAll => Rate::new(part(self.mails_in_all, 2), DAY),
            Counted::BulkInAll => Rate::new(part(self.mails_in_all, 4), DAY),
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
