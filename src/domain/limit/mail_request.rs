//! Counters of mails that an anonymous client can request for an e-mail address.

use std::time::Duration;

use super::mailbox::mailbox;
use crate::domain::{ChallengeKind, Counted, Counter, Device, Email, Limits, MailShare};

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

impl Limits {
    /// Returns the share of the `number`th request of a network on a day.
    pub const fn share(&self, number: i64) -> MailShare {
        if number <= 1 {
            MailShare::First
        } else if number <= self.mail_of_network {
            MailShare::Repeat
        } else {
            MailShare::Bulk
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
    block: String,
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
            block: device.block(),
        }
    }

    /// Returns the counters that number the requests of the network in a day: those for the mailbox,
    /// and those for any mailbox.
    pub fn of_network_daily(&self) -> [Counter; 2] {
        let (class, network) = (self.class.name(), &self.wide_network);
        [
            Counter::new(Counted::MailboxOfNetworkDaily, self.at_mailbox(network)),
            Counter::new(Counted::MailOfNetworkDaily, format!("{class}\0{network}")),
        ]
    }

    /// Returns the other counters of the network.
    pub fn of_network(&self) -> Vec<Counter> {
        let network = &self.wide_network;
        vec![
            Counter::new(Counted::MailboxOfNetworkHourly, self.at_mailbox(network)),
            Counter::new(Counted::MailOfNetwork, network),
        ]
    }

    /// Returns the counters of the block of the network, for the `rank`th request of the network,
    /// which is its `number`th for the mailbox.
    pub fn firsts_of_block(&self, rank: i64, number: i64) -> Vec<Counter> {
        let (class, block) = (self.class.name(), &self.block);
        let mut counters = Vec::new();
        if number == 1 {
            counters.push(Counter::new(Counted::MailboxFirstsOfBlock, self.at_mailbox(block)));
        }
        if rank == 1 {
            counters.push(Counter::new(Counted::NetworksOfBlock, format!("{class}\0{block}")));
        }
        counters
    }

    fn at_mailbox(&self, network: &str) -> String {
        format!("{}\0{}\0{network}", self.class.name(), self.mailbox)
    }

    /// Returns the counter for a request beyond the budgets of first and second ones. For resets it
    /// belongs to the address alone: a request for another tag sends nothing to it.
    pub fn late(&self) -> Counter {
        let place = match self.class {
            MailClass::Verification => &self.mailbox,
            MailClass::Reset => &self.address,
        };
        Counter::new(Counted::MailboxLate, format!("{}\0{place}", self.class.name()))
    }

    /// Returns the counter of the mailbox, for the `number`th request of its network.
    pub fn of_mailbox(&self, number: i64) -> Counter {
        let counted = match number {
            1 => Counted::MailboxFirsts,
            2 => Counted::MailboxSeconds,
            _ => Counted::MailboxRepeats,
        };
        Counter::new(counted, format!("{}\0{}", self.class.name(), self.mailbox))
    }

    /// Returns the counter of mails beyond the first of a request. No request waits for it, so a
    /// network that uses it up does not affect the requests of others.
    pub fn further(&self) -> Counter {
        Counter::new(Counted::MailboxFurther, format!("{}\0{}", self.class.name(), self.mailbox))
    }

    /// Returns the counters of what the service sends, to the domain and in all, for a mail that may
    /// use that share.
    pub fn of_service(&self, share: MailShare) -> Vec<Counter> {
        let class = self.class.name();
        // A mail counts on the larger shares too.
        let shares = MailShare::ALL.into_iter().filter(|it| *it <= share);
        shares
            .flat_map(|share| {
                let domain = format!("{class}\0{}", self.domain);
                [
                    Counter::new(Counted::MailsToDomain(share), domain),
                    Counter::new(Counted::MailsInAll(share), class),
                ]
            })
            .collect()
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
                .of_network_daily()[0]
                .clone()
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
