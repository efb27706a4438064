//! Rules for registration: who may create an account, the permitted domains of addresses, and their
//! verification.

use crate::domain::{Email, Fault};

/// The users who may create an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistrationMode {
    /// All.
    #[default]
    Open,
    /// Users whom staff invited.
    Invited,
    /// Users whom staff invited; requests to register are refused.
    Closed,
}

impl RegistrationMode {
    /// The name, as set and sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invited => "invited",
            Self::Closed => "closed",
        }
    }
}

/// The time at which an e-mail address must be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerification {
    /// Before the account is created.
    Mandatory,
    /// After the account is created, at any time. `email_verified` in tokens is false until then.
    Optional,
    /// Never.
    None,
}

/// Evidence that a verification requires in addition to the link of the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyEmailProof {
    /// The registration token of the same browser, or the password.
    Required,
    /// None. The user who opens the link activates a password that another user may have chosen.
    Link,
}

/// A domain, or all domains below one (`*.example.com`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainPattern {
    domain: String,
    is_parent: bool,
}

impl DomainPattern {
    /// Parses `example.com` or `*.example.com`; `None` if it is not the domain of an address.
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, is_parent) = match text.strip_prefix("*.") {
            Some(parent) => (parent, true),
            None => (text, false),
        };
        let address = Email::parse(&format!("a@{domain}")).ok()?;
        Some(Self { domain: address.domain().to_owned(), is_parent })
    }

    fn matches(&self, domain: &str) -> bool {
        if self.is_parent {
            let below = domain.strip_suffix(self.domain.as_str());
            below.is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        } else {
            domain == self.domain
        }
    }
}

impl std::fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.is_parent { "*." } else { "" }, self.domain)
    }
}

/// The rules for registration.
#[derive(Clone, Debug, Default)]
pub struct RegistrationRules {
    /// The users who may create an account.
    pub mode: RegistrationMode,
    /// The permitted domains; all if empty.
    pub allowed_domains: Vec<DomainPattern>,
    /// The refused domains. They override the permitted ones.
    pub denied_domains: Vec<DomainPattern>,
}

impl RegistrationRules {
    /// Checks the domain of an address that a user chose.
    ///
    /// # Errors
    /// [`Fault::DomainNotAllowed`].
    pub fn check_domain(&self, email: &Email) -> Result<(), Fault> {
        let is_in =
            |patterns: &[DomainPattern]| patterns.iter().any(|it| it.matches(email.domain()));
        let is_allowed = self.allowed_domains.is_empty() || is_in(&self.allowed_domains);
        if is_allowed && !is_in(&self.denied_domains) {
            Ok(())
        } else {
            Err(Fault::DomainNotAllowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], denied: &[&str]) -> RegistrationRules {
        let read =
            |texts: &[&str]| texts.iter().map(|it| DomainPattern::parse(it).unwrap()).collect();
        RegistrationRules {
            mode: RegistrationMode::Open,
            allowed_domains: read(allowed),
            denied_domains: read(denied),
        }
    }

    #[test]
    fn a_domain_is_compared_whole_and_a_parent_by_its_labels() {
        let is_allowed = |rules: &RegistrationRules, domain: &str| {
            rules.check_domain(&Email::parse(&format!("a@{domain}")).unwrap()).is_ok()
        };
        let none = rules(&[], &[]);
        assert!(is_allowed(&none, "example.com"));
        let allowed =
            rules(&["Example.com", "*.example.org", "bücher.example"], &["bad.example.org"]);
        for domain in
            ["example.com", "EXAMPLE.COM", "a.example.org", "a.b.example.org", "bücher.example"]
        {
            assert!(is_allowed(&allowed, domain), "{domain}");
        }
        for domain in [
            "a.example.com",
            "notexample.com",
            "example.org",
            "bad.example.org",
            "example.com.evil.net",
        ] {
            assert!(!is_allowed(&allowed, domain), "{domain}");
        }
        let denied = rules(&[], &["*.example.net"]);
        assert!(is_allowed(&denied, "example.net") && !is_allowed(&denied, "a.example.net"));
    }

    #[test]
    fn what_is_no_domain_is_no_pattern() {
        for text in
            ["", "*", "*.", "com", "a b.com", "*.*.com", "@example.com", "example.com,b.com"]
        {
            assert_eq!(DomainPattern::parse(text), None, "{text}");
        }
        assert_eq!(DomainPattern::parse("*.Example.COM").unwrap().to_string(), "*.example.com");
    }
}
