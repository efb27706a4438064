//! Usernames: a second name to log in with.

use unicode_normalization::UnicodeNormalization as _;

use super::{Email, Fault};

/// A name of 1 to 150 letters of any script, digits and `.+-_`, unique without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    normalised: String,
}

impl Username {
    /// The most characters, as in the stack that Hallpass replaces.
    pub const MAX_LENGTH: usize = 150;

    /// Reads a name that a person chose. It may not contain `@`: only addresses do, so no name
    /// can pass for somebody's address.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains('@') { Err(Fault::InvalidUsername) } else { Self::parse_any(text) }
    }

    /// Reads the name that the owner of `email` chose. The address itself counts as none chosen:
    /// whether a name is taken may be told, whether an address is may not.
    pub fn parse_beside(text: &str, email: Option<&Email>) -> Result<Option<Self>, Fault> {
        match email {
            Some(email) if text.eq_ignore_ascii_case(email.as_str()) => Ok(None),
            _ => Self::parse(text).map(Some),
        }
    }

    /// The name of somebody who chose none.
    pub fn of_address(email: &Email) -> Self {
        Self::known(email.as_str())
    }

    /// Reads a name that may contain `@`: an address as name, or one that staff gave.
    pub fn parse_any(text: &str) -> Result<Self, Fault> {
        let text: String = text.nfc().collect();
        if text.chars().count() > Self::MAX_LENGTH {
            return Err(Fault::TooLong);
        }
        let allowed = |c: char| c.is_alphanumeric() || "@.+-_".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(Fault::InvalidUsername);
        }
        Ok(Self::known(&text))
    }

    /// A name that was checked before: from the database, or an address.
    pub fn known(text: &str) -> Self {
        Self { shown: text.to_owned(), normalised: Self::normalise(text) }
    }

    /// The form that is unique: compatibility composition, lower case.
    pub fn normalise(text: &str) -> String {
        text.nfkc().collect::<String>().to_lowercase()
    }

    /// The name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The form that is unique.
    pub fn normalised(&self) -> &str {
        &self.normalised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_pass_and_case_does_not_count() {
        assert_eq!(Username::parse("김철수").unwrap().as_str(), "김철수");
        assert_eq!(Username::parse("Alice_1.x+y-z").unwrap().normalised(), "alice_1.x+y-z");
        assert_eq!(Username::normalise("ＡＬＩＣＥ"), "alice");
    }

    #[test]
    fn no_name_can_pass_for_an_address() {
        for bad in ["", "a b", "a@b.cc", "a/b", "a\0", "\u{202e}evil"] {
            assert_eq!(Username::parse(bad), Err(Fault::InvalidUsername), "{bad}");
        }
        assert_eq!(Username::parse(&"a".repeat(151)), Err(Fault::TooLong));
        assert!(Username::parse_any("a@b.cc").is_ok());
    }
}
