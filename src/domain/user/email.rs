//! E-mail addresses that can safely receive mail.

use crate::domain::{Fault, Length, trim_typed};

/// An e-mail address: a dot-atom of ASCII before the `@`, a domain name after it (RFC 5321 without
/// quoted local parts and IP literals). An internationalised domain is stored as its A-label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    normalised: String,
}

impl Email {
    /// The longest address in octets (RFC 5321 section 4.5.3.1.3).
    pub const MAX_LENGTH: usize = 254;
    const MAX_LOCAL_LENGTH: usize = 64;
    /// The fault of a longer address, which is nearly always ASCII.
    const TOO_LONG: Fault = Fault::TooLong(Length::Characters(Self::MAX_LENGTH));

    /// Parses an address that a user entered. White space and invisible characters around it are
    /// ignored.
    pub fn parse_typed(text: &str) -> Result<Self, Fault> {
        Self::parse(trim_typed(text))
    }

    /// Parses an address. Dots and `+tags` are kept: only the provider knows whether they matter.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > Self::MAX_LENGTH {
            return Err(Self::TOO_LONG);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(Fault::InvalidEmail)?;
        if local.len() > Self::MAX_LOCAL_LENGTH || !local.split('.').all(is_atom) {
            return Err(Fault::InvalidEmail);
        }
        let domain = ascii_domain(domain).ok_or(Fault::InvalidEmail)?;
        let shown = format!("{local}@{domain}");
        if shown.len() > Self::MAX_LENGTH {
            return Err(Self::TOO_LONG);
        }
        Ok(Self { normalised: shown.to_ascii_lowercase(), shown })
    }

    /// Returns an address from the database or from staff without a check. It may be undeliverable.
    pub fn unchecked(text: &str) -> Self {
        Self::parse(text).map_or_else(
            |_| Self { shown: text.to_owned(), normalised: text.to_ascii_lowercase() },
            |parsed| Self { shown: text.to_owned(), ..parsed },
        )
    }

    /// Returns whether it is a valid address that can receive mail.
    pub fn is_deliverable(&self) -> bool {
        Self::parse(&self.shown).is_ok()
    }

    /// The address as entered, with the domain as A-labels. Mail is sent to it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The unique form: ASCII lower case.
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// Returns the normalised part after the `@`.
    pub fn domain(&self) -> &str {
        self.normalised.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The normalised part before the `@`.
    pub fn local_part(&self) -> &str {
        self.normalised.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

/// `atext` of RFC 5322 section 3.2.3.
fn is_atom(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

/// Returns the domain as letters, digits and hyphens, with at least two labels.
fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = if domain.is_ascii() {
        domain.to_owned()
    } else {
        idna::domain_to_ascii_strict(domain).ok()?
    };
    let labels: Vec<&str> = ascii.split('.').collect();
    let valid_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = labels.last()?;
    let top_is_a_name = top.len() >= 2 && top.bytes().any(|b| b.is_ascii_alphabetic());
    (labels.len() >= 2 && labels.iter().all(valid_label) && top_is_a_name).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_can_reach_pass() {
        for good in ["a@example.com", "A.b+tag@Sub.Example.ORG", "o'neil@x-y.co", "1@2.io"] {
            assert_eq!(Email::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Email::parse("A.B@Example.COM").unwrap().normalised(), "a.b@example.com");
        assert_eq!(Email::parse("a@bücher.example").unwrap().as_str(), "a@xn--bcher-kva.example");
    }

    #[test]
    fn a_known_address_is_kept_as_it_is_and_found_all_the_same() {
        let international = Email::unchecked("A@Bücher.example");
        assert_eq!(international.as_str(), "A@Bücher.example");
        assert_eq!(international.normalised(), "a@xn--bcher-kva.example");
        assert!(international.is_deliverable());
        let local = Email::unchecked("Root@localhost");
        assert_eq!(local.normalised(), "root@localhost");
        assert!(!local.is_deliverable());
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a@localhost",
            "a@b..c",
            ".a@b.cc",
            "a.@b.cc",
            "a..b@c.dd",
            "\"a\"@b.cc",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a b@c.dd",
            "a@b.cc\n",
            "a@b.cc\0",
            "ä@b.cc",
            "a@-b.cc",
            "a@b-.cc",
            "victim@x.com@evil.com",
            "a@b.c",
            "a,b@c.dd",
            "a@b_c.dd",
            "a@b.cc.",
            "<a@b.cc>",
            "\"victim@x\"@evil.com",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert!(Email::parse(&format!("{}@b.cc", "a".repeat(65))).is_err());
        assert_eq!(Email::parse(&format!("a@{}.com", "b.".repeat(130))), Err(Email::TOO_LONG));
    }
}
