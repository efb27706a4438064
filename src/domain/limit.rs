//! How often something may be tried, by whom and on whom.

use std::time::Duration;

use super::{Device, Email, UtcTime};

/// So many uses in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many are let through in a window.
    pub uses: i64,
    /// How long a window lasts, from its first use.
    pub window: Duration,
}

impl Rate {
    /// So many uses in a window.
    pub const fn new(uses: i64, window: Duration) -> Self {
        Self { uses, window }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Failed log-ins under one name in a row, on devices that are not known. Beyond the bound only a
    /// proof by mail helps.
    LoginInARow,
    /// Failed log-ins under one name on all devices that are not known together. Beyond the bound waits
    /// grow, but end.
    LoginAnywhere,
    /// Failed log-ins under one name on one known device, or from one network; wrong passwords in one
    /// session, or with one link of a mail.
    LoginHere,
    /// Log-ins from one network, or on one known device, right or wrong.
    AttemptsOfNetwork,
    /// Requests of one user that have a password hashed.
    HashesOfUser,
    /// Requests of logged-in users in one network that have a password hashed.
    HashesOfNetwork,
    /// Codes and links from one network, right or wrong.
    ProofsOfNetwork,
    /// Refreshes from one network.
    RefreshesOfNetwork,
    /// Mails to one address that one network asks for in an hour.
    OrdersHourly,
    /// Mails to one address that one network asks for in a day.
    OrdersDaily,
    /// Mails that one network asks for.
    OrdersOfNetwork,
    /// Mails that go to one address in an hour.
    MailsToAddressHourly,
    /// Mails that go to one address in a day.
    MailsToAddressDaily,
    /// Mails that go to the addresses of one domain.
    MailsToDomain,
    /// Mails that go out in all.
    MailsInAll,
}

impl Counted {
    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginInARow => "login_in_a_row",
            Self::LoginAnywhere => "login_anywhere",
            Self::LoginHere => "login_here",
            Self::AttemptsOfNetwork => "attempts_of_network",
            Self::HashesOfUser => "hashes_of_user",
            Self::HashesOfNetwork => "hashes_of_network",
            Self::ProofsOfNetwork => "proofs_of_network",
            Self::RefreshesOfNetwork => "refreshes_of_network",
            Self::OrdersHourly => "orders_hourly",
            Self::OrdersDaily => "orders_daily",
            Self::OrdersOfNetwork => "orders_of_network",
            Self::MailsToAddressHourly => "mails_to_address_hourly",
            Self::MailsToAddressDaily => "mails_to_address_daily",
            Self::MailsToDomain => "mails_to_domain",
            Self::MailsInAll => "mails_in_all",
        }
    }

    /// Whether uses are guesses: known to be wrong, and held against somebody, only afterwards.
    pub const fn is_guess(self) -> bool {
        matches!(self, Self::LoginInARow | Self::LoginAnywhere | Self::LoginHere)
    }
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// So long that only a success or a proof by mail ends a row of failures.
const UNTIL_SUCCESS: Duration = Duration::from_hours(365 * 24);
/// What is left of that when a row of few failures is forgotten, a week after it began.
const LEFT_AFTER_A_WEEK: Duration = Duration::from_hours(358 * 24);

/// Fewer failures in a row than this are forgotten after a week: everything that was ever typed as a name
/// would stay for a year.
pub const FEW_FAILURES: i64 = 10;

/// More than a user needs who changes the password or the address.
const HASHES_OF_USER: Rate = Rate::new(20, HOUR);

/// So long others wait while a guess that reached a bound is compared. Longer than that takes.
const COMPARING: Duration = Duration::from_secs(20);

/// The first wait beyond [`Counted::LoginAnywhere`]; each further one is twice as long.
const FIRST_WAIT: Duration = MINUTE;
/// No wait is longer: nobody is kept out for good.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// The operator's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For [`Counted::LoginHere`].
    pub login_here: Rate,
    /// For [`Counted::LoginAnywhere`].
    pub login_anywhere: Rate,
    /// For [`Counted::LoginInARow`].
    pub login_in_a_row: i64,
    /// For [`Counted::AttemptsOfNetwork`] and [`Counted::ProofsOfNetwork`].
    pub attempts_of_network: Rate,
    /// For [`Counted::RefreshesOfNetwork`].
    pub refreshes_of_network: Rate,
    /// For [`Counted::OrdersHourly`] and [`Counted::MailsToAddressHourly`].
    pub mails_to_address_hourly: i64,
    /// For [`Counted::OrdersDaily`] and [`Counted::MailsToAddressDaily`].
    pub mails_to_address_daily: i64,
    /// For [`Counted::OrdersOfNetwork`].
    pub orders_of_network: i64,
    /// For [`Counted::MailsToDomain`].
    pub mails_to_domain: i64,
    /// For [`Counted::MailsInAll`].
    pub mails_in_all: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_here: Rate::new(5, 15 * MINUTE),
            login_anywhere: Rate::new(20, HOUR),
            login_in_a_row: 100,
            attempts_of_network: Rate::new(30, MINUTE),
            refreshes_of_network: Rate::new(1_200, MINUTE),
            mails_to_address_hourly: 3,
            mails_to_address_daily: 10,
            orders_of_network: 20,
            mails_to_domain: 2_000,
            mails_in_all: 10_000,
        }
    }
}

impl Limits {
    /// The rate of what is counted.
    pub fn rate(&self, counted: Counted) -> Rate {
        match counted {
            Counted::LoginInARow => Rate::new(self.login_in_a_row, UNTIL_SUCCESS),
            Counted::LoginAnywhere => self.login_anywhere,
            Counted::LoginHere => self.login_here,
            Counted::HashesOfUser => HASHES_OF_USER,
            Counted::AttemptsOfNetwork | Counted::HashesOfNetwork | Counted::ProofsOfNetwork => {
                self.attempts_of_network
            }
            Counted::RefreshesOfNetwork => self.refreshes_of_network,
            Counted::OrdersHourly | Counted::MailsToAddressHourly => {
                Rate::new(self.mails_to_address_hourly, HOUR)
            }
            Counted::OrdersDaily | Counted::MailsToAddressDaily => {
                Rate::new(self.mails_to_address_daily, DAY)
            }
            Counted::OrdersOfNetwork => Rate::new(self.orders_of_network, HOUR),
            Counted::MailsToDomain => Rate::new(self.mails_to_domain, DAY),
            Counted::MailsInAll => Rate::new(self.mails_in_all, DAY),
        }
    }

    /// Up to when the window of a row of few failures ends that is forgotten `now`.
    pub fn few_failures_end(now: UtcTime) -> UtcTime {
        now.after(LEFT_AFTER_A_WEEK)
    }

    /// How long others wait while it is not yet known whether a use was one to be held against somebody.
    pub fn wait_meanwhile(counted: Counted, wait: Duration) -> Duration {
        if counted.is_guess() { wait.min(COMPARING) } else { wait }
    }

    /// How long the uses after the `uses`th have to wait, in a window that ends after `left`.
    pub fn wait_after(&self, counted: Counted, uses: i64, left: Duration) -> Duration {
        let bound = self.rate(counted).uses;
        if uses < bound {
            Duration::ZERO
        } else if counted == Counted::LoginAnywhere {
            let doublings = u32::try_from(uses - bound).unwrap_or(u32::MAX).min(10);
            FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
        } else {
            left
        }
    }
}

/// One counter: what it counts, and for whom, as that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// What it counts.
    pub counted: Counted,
    /// For whom. It is hashed with a key before it is stored.
    pub subject: String,
}

impl Counter {
    /// The counter of `counted` for `subject`.
    pub fn new(counted: Counted, subject: impl Into<String>) -> Self {
        Self { counted, subject: subject.into() }
    }

    /// What somebody at `device` takes who asks for a mail to `email`, whether one is sent or not.
    pub fn of_mail_order(email: &Email, device: &Device) -> Vec<Self> {
        let here = format!("{}\0{}", email.normalised(), device.network);
        vec![
            Self::new(Counted::OrdersHourly, &here),
            Self::new(Counted::OrdersDaily, &here),
            Self::new(Counted::OrdersOfNetwork, &device.network),
        ]
    }

    /// What a mail to `email` takes that is sent because anybody asked for it. Mails to those who have an
    /// account have budgets of their own by domain and in all: registrations of invented addresses must not
    /// use those up.
    pub fn of_mail(email: &Email, has_account: bool) -> Vec<Self> {
        let address = email.normalised();
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        // With most providers all that follows a plus leads to the same mailbox.
        let mailbox = local.split_once('+').map_or(local, |(mailbox, _)| mailbox);
        let mailbox = format!("{mailbox}@{domain}");
        let whom = if has_account { "accounts" } else { "strangers" };
        vec![
            Self::new(Counted::MailsToAddressHourly, &mailbox),
            Self::new(Counted::MailsToAddressDaily, &mailbox),
            Self::new(Counted::MailsToDomain, format!("{whom}\0{domain}")),
            Self::new(Counted::MailsInAll, whom),
        ]
    }
}

/// A bound that a use has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Of which counter.
    pub counter: Counter,
    /// Until when there may be no further use, if this one is to be held against somebody.
    pub waits_until: UtcTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let limits = Limits::default();
        let minutes = |uses| limits.wait_after(Counted::LoginAnywhere, uses, HOUR).as_secs() / 60;
        assert_eq!([19, 20, 21, 22, 23, 24, 99].map(minutes), [0, 1, 2, 4, 8, 15, 15]);
        let left = Duration::from_secs(77);
        assert_eq!(limits.wait_after(Counted::LoginHere, 4, left), Duration::ZERO);
        assert_eq!(limits.wait_after(Counted::LoginHere, 5, left), left);
    }
}
