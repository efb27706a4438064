//! Counters of mails that an anonymous client can request for an e-mail address.

use std::time::Duration;

use super::mailbox::mailbox;
use crate::domain::{ChallengeKind, Counted, Counter, Device, Email};

/// Classes of mail with budgets of their own, so that registrations by others do not use up the
/// password resets of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailClass {
    /// Verification of an e-mail address: registrations, repetitions of their mail, changes.
    Verification,
    /// Password resets.
    Reset,
}

impl MailClass {
    const fn name(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Reset => "reset",
        }
    }
}

/// A request from a client for a mail.
#[derive(Clone, Debug)]
pub struct MailRequest {
    /// Budget that it is counted on.
    pub class: MailClass,
    /// Lifetime of the link of its mail, from the request on.
    pub lifetime: Duration,
    address: String,
    mailbox: String,
    domain: String,
    wide_network: String,
}

impl MailRequest {
    /// Returns the request of `device` for a mail to `email` with a challenge of `kind`.
    pub fn new(kind: ChallengeKind, email: &Email, device: &Device) -> Self {
        let class =
            if kind.verifies_address() { MailClass::Verification } else { MailClass::Reset };
        let address = email.normalised();
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        Self {
            class,
            lifetime: kind.lifetime(),
            address: address.to_owned(),
            mailbox: mailbox(local, domain),
            domain: domain.to_owned(),
            wide_network: device.wide_network(),
        }
    }

    /// Returns the counter that tells whether this is the first request of its network for the
    /// mailbox in a day.
    pub fn of_network_daily(&self) -> Counter {
        let Self { mailbox, wide_network, .. } = self;
        let subject = format!("{}\0{mailbox}\0{wide_network}", self.class.name());
        Counter::new(Counted::MailboxOfNetworkDaily, subject)
    }

    /// Returns the other counters of the network.
    pub fn of_network(&self) -> Vec<Counter> {
        let Self { mailbox, wide_network, .. } = self;
        let subject = format!("{}\0{mailbox}\0{wide_network}", self.class.name());
        vec![
            Counter::new(Counted::MailboxOfNetworkHourly, subject),
            Counter::new(Counted::MailOfNetwork, wide_network),
        ]
    }

    /// Returns the counter for the first request of a network after the budget of first requests is
    /// used up. For resets it belongs to the address alone: a request for another tag sends nothing
    /// to it.
    pub fn late(&self) -> Counter {
        let place = match self.class {
            MailClass::Verification => &self.mailbox,
            MailClass::Reset => &self.address,
        };
        Counter::new(Counted::MailboxLate, format!("{}\0{place}", self.class.name()))
    }

    /// Returns the counter of the mailbox, for a request that is the first of its network or a
    /// repeat.
    pub fn of_mailbox(&self, is_first: bool) -> Counter {
        let counted = if is_first { Counted::MailboxFirsts } else { Counted::MailboxRepeats };
        Counter::new(counted, format!("{}\0{}", self.class.name(), self.mailbox))
    }

    /// Returns the counter of mails beyond the first of a request. No request waits for it, so a
    /// network that uses it up does not affect the requests of others.
    pub fn further(&self) -> Counter {
        Counter::new(Counted::MailboxFurther, format!("{}\0{}", self.class.name(), self.mailbox))
    }

    /// Returns the counters of what the service sends: to the domain and in all.
    pub fn of_service(&self) -> Vec<Counter> {
        let class = self.class.name();
        vec![
            Counter::new(Counted::MailsToDomain, format!("{class}\0{}", self.domain)),
            Counter::new(Counted::MailsInAll, class),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_subnets_share_the_counters_of_a_mailbox() {
        let request = |email: &str, address: &str| {
            let device = Device::of("", address.parse().ok());
            MailRequest::new(ChallengeKind::ResetPassword, &Email::parse(email).unwrap(), &device)
                .of_network_daily()
        };
        let home = request("mina@example.com", "2001:db8:1:1::7");
        assert_eq!(home, request("Mina+shop+2@example.com", "2001:db8:1:ffff::9"));
        assert_ne!(home, request("mina@example.com", "2001:db8:2:1::7"));
        let all = |address: &str| {
            let email = Email::parse("mina@example.com").unwrap();
            let device = Device::of("", address.parse().ok());
            MailRequest::new(ChallengeKind::ResetPassword, &email, &device).of_network()
        };
        assert_eq!(all("2001:db8:1:1::7"), all("2001:db8:1:ffff::9"));
        assert_ne!(home, request("mina@example.net", "2001:db8:1:1::7"));
        assert_eq!(request("m.i.na+x@GMail.com", "::1"), request("Mina@googlemail.com", "::1"));
    }
}
