//! User names.

use unicode_normalization::UnicodeNormalization as _;

use crate::domain::{Email, Fault, Length, UserId, trim_typed};

/// The letters beyond ASCII that a chosen name may have: blocks of letters without gaps, so that
/// the published pattern works in the regular expressions of any language.
pub const LETTERS: [(char, char); 20] = [
    ('\u{c0}', '\u{d6}'),
    ('\u{d8}', '\u{f6}'),
    ('\u{f8}', '\u{2c1}'),
    ('\u{38e}', '\u{3a1}'),
    ('\u{3a3}', '\u{3f5}'),
    ('\u{400}', '\u{481}'),
    ('\u{48a}', '\u{52f}'),
    ('\u{531}', '\u{556}'),
    ('\u{561}', '\u{587}'),
    ('\u{5d0}', '\u{5ea}'),
    ('\u{620}', '\u{64a}'),
    ('\u{904}', '\u{939}'),
    ('\u{e01}', '\u{e30}'),
    ('\u{10d0}', '\u{10fa}'),
    ('\u{1e00}', '\u{1f15}'),
    ('\u{3041}', '\u{3096}'),
    ('\u{30a1}', '\u{30fa}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{ac00}', '\u{d7a3}'),
];

/// A name of 1 to 150 letters, digits and `.+-_`, unique without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    normalised: String,
}

impl Username {
    /// Longest name in characters, as in the stack that Hallpass replaces.
    pub const MAX_LENGTH: usize = 150;
    /// Longest name in bytes: [`LETTERS`] have three at most.
    pub const MAX_BYTES: usize = Self::MAX_LENGTH * 3;
    /// Beginning of placeholders, before a number.
    pub const PLACEHOLDER: &str = "user-";

    /// Parses a name that a user chose. It may not contain `@`: only addresses do, so no name can
    /// pass for the address of another user.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains('@') { Err(Fault::InvalidUsername) } else { Self::parse_any(text) }
    }

    /// Parses the name that the owner of `email` chose. The address itself counts as no choice: a
    /// response may reveal that a user name is taken, but not that an address is.
    pub fn parse_beside(text: &str, email: Option<&Email>) -> Result<Option<Self>, Fault> {
        match email {
            Some(email) if Self::unchecked(trim_typed(text)).is_address(email) => Ok(None),
            _ => Self::parse(text).map(Some),
        }
    }

    /// Returns the name of a user who chose none.
    pub fn of_address(email: &Email) -> Self {
        Self::unchecked(email.as_str())
    }

    /// Returns the e-mail address that a log-in recognises in this name: in letters of any width
    /// and style, with a domain in letters or A-labels, and with any dots and invisible characters
    /// that domains may have.
    pub fn named_address(&self) -> Option<Email> {
        Email::parse(&self.shown).or_else(|_| Email::parse(&self.normalised)).ok()
    }

    /// Returns whether a log-in recognises `email` in this name.
    pub fn is_address(&self, email: &Email) -> bool {
        let named = self.named_address();
        named.as_ref().map_or(self.normalised(), Email::normalised) == email.normalised()
    }

    /// Returns whether only placeholders may have this name: it begins with `user-` and a digit. A
    /// chosen one could pass for another user's.
    pub fn is_reserved(&self) -> bool {
        let number = self.normalised.strip_prefix(Self::PLACEHOLDER);
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// Returns whether it is a placeholder made of that user id.
    pub fn is_made_of(&self, id: UserId) -> bool {
        let rest = self.normalised.strip_prefix(&format!("{}{id}", Self::PLACEHOLDER));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Parses a name that may contain `@`: an address as name, or one that staff chose.
    pub fn parse_any(text: &str) -> Result<Self, Fault> {
        let text: String = text.nfc().collect();
        if text.chars().count() > Self::MAX_LENGTH {
            return Err(Fault::TooLong(Length::Characters(Self::MAX_LENGTH)));
        }
        let allowed = |c: char| {
            c.is_ascii_alphanumeric()
                || "@.+-_".contains(c)
                || LETTERS.iter().any(|(first, last)| (*first..=*last).contains(&c))
        };
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(Fault::InvalidUsername);
        }
        Ok(Self::unchecked(&text))
    }

    /// Returns a name without a check: from the database, or an e-mail address.
    pub fn unchecked(text: &str) -> Self {
        Self { shown: text.to_owned(), normalised: Self::normalise(text) }
    }

    /// Returns the unique form: compatibility composition, lower case.
    pub fn normalise(text: &str) -> String {
        if text.is_ascii() {
            // Its own composition.
            return text.to_ascii_lowercase();
        }
        text.nfkc().collect::<String>().to_lowercase()
    }

    /// The name as it was entered.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The unique form.
    pub fn normalised(&self) -> &str {
        &self.normalised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_many_scripts_pass_and_case_does_not_count() {
        assert_eq!(Username::parse("김철수").unwrap().as_str(), "김철수");
        assert_eq!(Username::parse("Alice_1.x+y-z").unwrap().normalised(), "alice_1.x+y-z");
        assert_eq!(Username::parse("Ame\u{301}lie").unwrap().as_str(), "Amélie");
        assert_eq!(Username::normalise("ＡＬＩＣＥ"), "alice");
        for (first, last) in LETTERS {
            assert!((first..=last).all(char::is_alphanumeric), "{first:?}");
            assert!(last.len_utf8() * Username::MAX_LENGTH <= Username::MAX_BYTES, "{last:?}");
        }
    }

    #[test]
    fn an_address_in_any_spelling_is_recognised() {
        let email = Email::parse("ada@b\u{fc}cher.example").unwrap();
        for spelling in [
            "ada@xn--bcher-kva.example",
            "ADA@B\u{dc}CHER.example",
            "ada@b\u{fc}\u{ad}cher.example",
            "ada@b\u{fc}cher\u{3002}example",
            "ada\u{ff20}b\u{fc}cher.example",
            "\u{ff41}da@bu\u{308}cher.example",
            "ada@XN--BCHER-KVA.example",
        ] {
            assert!(Username::unchecked(spelling).is_address(&email), "{spelling}");
            assert_eq!(Username::parse_beside(spelling, Some(&email)), Ok(None), "{spelling}");
        }
        for other in ["ada", "ida@b\u{fc}cher.example", "ada@bucher.example"] {
            assert!(!Username::unchecked(other).is_address(&email), "{other}");
        }
        assert!(
            Username::unchecked("Root@Localhost").is_address(&Email::unchecked("root@localhost"))
        );
    }

    #[test]
    fn names_of_placeholders_are_reserved_in_every_width() {
        for reserved in ["user-7", "USER-7-2", "user-7th", "\u{ff55}ser\u{ff0d}\u{ff17}"] {
            assert!(Username::unchecked(reserved).is_reserved(), "{reserved}");
        }
        for free in ["user", "user-", "user-mina", "user7", "a-user-7", "user--7"] {
            assert!(!Username::unchecked(free).is_reserved(), "{free}");
        }
        let is_made_of_7 = |name| Username::unchecked(name).is_made_of(UserId(7));
        assert!(is_made_of_7("user-7") && is_made_of_7("user-7-2"));
        assert!(!is_made_of_7("user-71") && !is_made_of_7("user-8-7"));
    }

    #[test]
    fn no_name_can_pass_for_an_address() {
        for bad in ["", "a b", "a@b.cc", "a/b", "a\0", "\u{202e}evil", "a\u{301}\u{302}", "😀"] {
            assert_eq!(Username::parse(bad), Err(Fault::InvalidUsername), "{bad}");
        }
        assert_eq!(Username::parse(&"a".repeat(151)), Err(Fault::TooLong(Length::Characters(150))));
        assert!(Username::parse_any("a@b.cc").is_ok());
    }
}
