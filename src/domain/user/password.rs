//! Passwords and their hashes.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

use crate::domain::user::guessable::{doubled_word, is_listed, is_pattern};
use crate::domain::{Email, Fault, Length};

/// A password in clear, in NFC (NIST SP 800-63B-4 section 3.1.1.2), otherwise exactly as received.
///
/// It has no `Display`, and `Debug` does not show it.
#[derive(Clone)]
pub struct PlainPassword {
    composed: String,
    /// The received text, if it is not in NFC.
    received: Option<String>,
}

impl PlainPassword {
    /// Longest password in bytes, in any request.
    pub const MAX_BYTES: usize = 1024;
    const TOO_LONG: Fault = Fault::TooLong(Length::Bytes(Self::MAX_BYTES));

    /// Parses the password of a log-in: any length up to the maximum, since it may be older than
    /// the current policy.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::Required);
        }
        // Composition changes the length by a constant factor at most, so a bound of the raw length
        // limits the work.
        if text.len() > 4 * Self::MAX_BYTES {
            return Err(Self::TOO_LONG);
        }
        let composed: String = text.nfc().collect();
        if composed.len() > Self::MAX_BYTES {
            return Err(Self::TOO_LONG);
        }
        let received = (composed != text).then(|| text.to_owned());
        Ok(Self { composed, received })
    }

    /// The text, for hashing.
    pub fn expose(&self) -> &str {
        &self.composed
    }

    /// Returns every text that may have been hashed elsewhere: the received one, then the composed
    /// one.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        self.received.as_deref().into_iter().chain([self.composed.as_str()])
    }
}

impl std::fmt::Debug for PlainPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainPassword(..)")
    }
}

/// A new password that [`PasswordPolicy::accept`] accepted.
#[derive(Clone, Debug)]
pub struct AcceptedPassword(PlainPassword);

impl AcceptedPassword {
    /// Returns the password.
    pub fn into_plain(self) -> PlainPassword {
        self.0
    }
}

/// A stored hash in the modular crypt format, or a text that no password matches (empty, or
/// beginning with `!`, as Django marks accounts without a password).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Returns a hash from the hasher or the database.
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the mark of an account without a password.
    pub fn unusable() -> Self {
        Self("!".to_owned())
    }

    /// Returns whether a password can match.
    pub fn is_usable(&self) -> bool {
        !self.0.is_empty() && !self.0.starts_with('!')
    }

    /// The text, for the database and for verification.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The rules for a new password, after NIST SP 800-63B-4 and ASVS 5.0 V6.2: length, a blocklist, no
/// user name, more than the name of the service; no rules of composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Shortest password in code points.
    pub min_length: usize,
    /// Longest password in code points.
    pub max_length: usize,
    /// True if breached passwords are refused. Flows check that, not [`Self::check`].
    pub refuses_breached: bool,
    /// Name of the service in mail and pages.
    pub service_name: Arc<str>,
}

impl PasswordPolicy {
    /// The length that the documentation recommends.
    pub const RECOMMENDED_LENGTH: usize = 15;
    /// Shorter parts of names are ignored.
    const SHORTEST_NAME: usize = 4;

    fn too_long(&self) -> Fault {
        Fault::TooLong(Length::Characters(self.max_length))
    }

    /// Parses a new password. The longest one is that of the policy.
    fn parse(&self, text: &str) -> Result<PlainPassword, Fault> {
        PlainPassword::parse(text).map_err(|fault| match fault {
            Fault::TooLong(_) => self.too_long(),
            other => other,
        })
    }

    /// Checks the length of `password`.
    pub fn check_length(&self, password: &PlainPassword) -> Result<(), Fault> {
        match password.expose().chars().count() {
            n if n < self.min_length => Err(Fault::TooShort(Length::Characters(self.min_length))),
            n if n > self.max_length => Err(self.too_long()),
            _ => Ok(()),
        }
    }

    /// Parses a new password, and accepts it for the user with this address and user name.
    pub fn accept(
        &self,
        text: &str,
        email: Option<&Email>,
        username: Option<&str>,
    ) -> Result<AcceptedPassword, Fault> {
        let password = self.parse(text)?;
        self.check(&password, email, username)?;
        Ok(AcceptedPassword(password))
    }

    /// Checks `password` for the user with this address and user name. `username` is as entered,
    /// valid or not.
    pub fn check(
        &self,
        password: &PlainPassword,
        email: Option<&Email>,
        username: Option<&str>,
    ) -> Result<(), Fault> {
        self.check_length(password)?;
        let lower = compared_form(password.expose());
        let domain = email.map(Email::domain).unwrap_or_default();
        let is_made_of_a_name =
            [&self.service_name, domain].into_iter().any(|name| is_made_of(&lower, name));
        if is_listed(&lower) || is_made_of_a_name || self.repeats_a_short_part(&lower) {
            return Err(Fault::TooCommon);
        }
        let similar = email
            .map(Email::normalised)
            .into_iter()
            .chain(username)
            .flat_map(parts_of_name)
            .any(|part| part.chars().count() >= Self::SHORTEST_NAME && lower.contains(&part));
        if similar {
            Err(Fault::TooSimilar)
        } else if is_pattern(&lower) {
            Err(Fault::TooCommon)
        } else {
            Ok(())
        }
    }

    /// Returns whether `lower` is a repetition of a part that would be too short by itself. Among
    /// its letters, and around them, may be a few other characters.
    fn repeats_a_short_part(&self, lower: &str) -> bool {
        let text: Vec<char> = lower.chars().collect();
        let longest = self.min_length.saturating_sub(1).min(text.len() / 2);
        let is_exact = (1..=longest).any(|length| {
            let (part, rest) = text.split_at(length);
            text.len().is_multiple_of(length) && rest.chunks(length).all(|it| it == part)
        });
        let is_too_short = |(_, times)| text.len() / times < self.min_length;
        is_exact || doubled_word(&text).is_some_and(is_too_short)
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            min_length: 8,
            max_length: 256,
            refuses_breached: false,
            service_name: "Hallpass".into(),
        }
    }
}

/// Returns whether `lower` is made of `name`, that of the service or a domain, and what guessers
/// add: digits, signs, repetitions and one word of the list.
fn is_made_of(lower: &str, name: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let (name, all) = (letters(&compared_form(name)), letters(lower));
    let rest = if name.is_empty() { all.clone() } else { all.replace(&name, "") };
    rest != all && (rest.is_empty() || is_listed(&rest))
}

/// Returns the form in which passwords are compared with guesses: NFKC in lower case, since
/// attackers try any letter case, width and style.
pub fn compared_form(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

/// Returns the parts of an e-mail address or a name that an attacker would try: the whole, the
/// pieces between its separators, and these without separators. Of an address only the local part
/// has pieces: the domain is shared by many users.
fn parts_of_name(name: &str) -> Vec<String> {
    let whole = compared_form(name);
    let own = whole.rsplit_once('@').map_or(whole.as_str(), |(local, _)| local).to_owned();
    let pieces: Vec<String> =
        own.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    let joined = pieces.concat();
    pieces.into_iter().chain([joined, own, whole]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> PlainPassword {
        PlainPassword::parse(text).unwrap()
    }

    #[test]
    fn lengths_count_code_points_at_both_ends() {
        let policy = PasswordPolicy::default();
        let length = |n: usize| policy.check_length(&password(&"é".repeat(n)));
        assert_eq!(length(7), Err(Fault::TooShort(Length::Characters(8))));
        assert_eq!(length(8), Ok(()));
        assert_eq!(length(256), Ok(()));
        assert_eq!(length(257), Err(Fault::TooLong(Length::Characters(256))));
        assert!(PlainPassword::parse(&"a".repeat(1024)).is_ok());
        assert!(PlainPassword::parse(&"a".repeat(1025)).is_err());
    }

    #[test]
    fn composed_and_decomposed_text_are_one_password() {
        assert_eq!(password("Amélie\0 ").expose(), password("Ame\u{301}lie\0 ").expose());
        assert_eq!(password(" a ").expose(), " a ");
    }

    #[test]
    fn the_text_as_it_was_received_is_kept_where_it_differs() {
        let forms = |text| password(text).forms().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(forms("e\u{301}"), ["e\u{301}", "\u{e9}"]);
        assert_eq!(forms("\u{e9}"), ["\u{e9}"]);
    }

    #[test]
    fn common_and_own_names_are_refused() {
        let policy = PasswordPolicy::default();
        let email = Email::parse("Marianne@example.com").unwrap();
        let check = |text: &str| policy.check(&password(text), Some(&email), Some("Zorro99"));
        assert_eq!(check("Password1"), Err(Fault::TooCommon));
        assert_eq!(check("ＱｗｅｒｔｙＵｉｏｐ"), Err(Fault::TooCommon));
        assert_eq!(check("𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝"), Err(Fault::TooCommon));
        assert_eq!(check("xxＭＡＲＩＡＮＮＥxx"), Err(Fault::TooSimilar));
        assert_eq!(check("xxMARIANNExx"), Err(Fault::TooSimilar));
        assert_eq!(check("the-zorro99-rides"), Err(Fault::TooSimilar));
        assert_eq!(check("plum tree at dusk"), Ok(()));
    }

    #[test]
    fn the_name_of_the_service_is_refused_with_whatever_is_no_letter() {
        let check = |service: &str, text: &str| {
            let policy =
                PasswordPolicy { service_name: service.into(), ..PasswordPolicy::default() };
            policy.check(&password(text), None, None)
        };
        for text in ["AcmeLogin", "acme-login", "1234 ACME login!", "ＡｃｍｅＬｏｇｉｎ"] {
            assert_eq!(check("Acme Login", text), Err(Fault::TooCommon), "{text}");
        }
        for text in ["acme login acme login", "acmeloginpassword", "!Password-Acme Login-77"] {
            assert_eq!(check("Acme Login", text), Err(Fault::TooCommon), "{text}");
        }
        assert_eq!(check("Acme Login", "my acme login"), Ok(()));
        assert_eq!(check("42", "7391 5524"), Ok(()));
    }

    #[test]
    fn a_repetition_is_as_long_as_its_part() {
        let check = |min_length: usize, text: &str| {
            let policy = PasswordPolicy { min_length, ..PasswordPolicy::default() };
            let email = Email::parse("bob@example.com").unwrap();
            policy.check(&password(text), Some(&email), None)
        };
        for text in [
            "passphrasepassphrase",
            "ilovemydogilovemydog",
            "quiet stone quiet stone ",
            "correct horse battery staple",
            "example.comexample.com",
            "passphrase passphrase",
            "Grandmothergrandmother1",
            "Secretary2024Secretary!",
            "7Zeppelin7Zeppelin7",
            "nretnal-9-lantern",
        ] {
            assert_eq!(check(15, text), Err(Fault::TooCommon), "{text}");
        }
        assert_eq!(check(8, "quiet stone quiet stone "), Ok(()));
        assert_eq!(check(15, "plum tree at duskplum tree at dusk"), Ok(()));
    }

    #[test]
    fn parts_of_an_address_or_a_name_are_refused_from_four_characters() {
        let policy = PasswordPolicy::default();
        for (email, username, text, similar) in [
            ("bob@example.com", "bob@example.com", "bob@example.com", true),
            ("bob@example.com", "bob@example.com", "my BOB@Example.com!", true),
            ("bob@example.com", "bob@example.com", "bob at example.com", false),
            ("marianne.dupont@example.com", "zorro", "marianne1987", true),
            ("marianne.dupont@example.com", "zorro", "xx-Dupont-xx", true),
            ("marianne.dupont@example.com", "zorro", "mariannedupont", true),
            ("ann.lee+shop@example.com", "zorro", "annleeshop", true),
            ("ann.lee@example.com", "zorro", "annlee1987", true),
            ("ann.lee@example.com", "zorro", "ann and lee", false),
            ("a.b.c.d@example.com", "zorro", "xxa.b.c.dxx", true),
            ("a@example.com", "Don_Diego", "diego-1987", true),
            ("a@example.com", "Don_Diego", "dondiego87", true),
            ("a@example.com", "김-민준서윤", "나는 민준서윤입니다", true),
        ] {
            let email = Email::parse(email).unwrap();
            let checked = policy.check(&password(text), Some(&email), Some(username));
            let expected = if similar { Err(Fault::TooSimilar) } else { Ok(()) };
            assert_eq!(checked, expected, "{text} of {email:?}, {username}");
        }
    }
}
