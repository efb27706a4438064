//! Kinds of counters: names in the database, settings, and what a use beyond the limit means.

use crate::domain::MailShare;

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
    /// Networks of one block that requested a mail of one class on one day. Those beyond have no
    /// share of what is kept for first requests.
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
    /// Mails of one class to one domain, on one day, that may use this share of the budget or less.
    MailsToDomain(MailShare),
    /// Mails of one class in all, on one day, that may use this share of the budget or less.
    MailsInAll(MailShare),
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
            Self::MailsToDomain(MailShare::First) => "mails_to_domain",
            Self::MailsToDomain(MailShare::Repeat) => "repeats_to_domain",
            Self::MailsToDomain(MailShare::Bulk) => "bulk_to_domain",
            Self::MailsInAll(MailShare::First) => "mails_in_all",
            Self::MailsInAll(MailShare::Repeat) => "repeats_in_all",
            Self::MailsInAll(MailShare::Bulk) => "bulk_in_all",
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
            Self::MailsToDomain(_) => "HALLPASS_LIMIT_MAIL_DOMAIN",
            Self::NetworksOfBlock | Self::MailsInAll(_) => "HALLPASS_LIMIT_MAIL_TOTAL",
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
    pub(super) const fn is_by_calendar(self) -> bool {
        matches!(
            self,
            Self::MailOfNetworkDaily
                | Self::NetworksOfBlock
                | Self::MailsToDomain(_)
                | Self::MailsInAll(_)
        )
    }
}
