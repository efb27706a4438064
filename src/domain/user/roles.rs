//! Roles of an account. Hallpass does not interpret them: applications do, in tokens and headers.

use crate::domain::{Fault, Length};

/// Role names, sorted and each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<String>);

impl Roles {
    /// Largest number of roles of an account.
    pub const MAX: usize = 32;
    /// Longest name in characters.
    pub const MAX_NAME: usize = 64;

    /// Parses role names.
    ///
    /// # Errors
    /// A name is 1 to [`Self::MAX_NAME`] letters, digits and `_ . : / * -` of ASCII: it is part of
    /// a `scope` (RFC 6749 section 3.3) and of a header's list without quotes.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Fault> {
        let mut roles = Vec::new();
        for name in names {
            if name.len() > Self::MAX_NAME {
                return Err(Fault::TooLong(Length::Characters(Self::MAX_NAME)));
            }
            let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/*-".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_sign) {
                return Err(Fault::InvalidRole);
            }
            roles.push(name.to_owned());
        }
        roles.sort_unstable();
        roles.dedup();
        if roles.len() > Self::MAX {
            return Err(Fault::TooLong(Length::Items(Self::MAX)));
        }
        Ok(Self(roles))
    }

    /// Parses the stored form, names separated by spaces.
    pub fn known(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Returns the names separated by spaces: the stored form, and that of a `scope`.
    pub fn to_text(&self) -> String {
        self.0.join(" ")
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_sorted_and_unique() {
        let roles = Roles::parse(["editor", "admin", "editor"]).unwrap();
        assert_eq!(roles.to_text(), "admin editor");
        assert_eq!(Roles::known("admin editor"), roles);
        assert_eq!(Roles::known(""), Roles::default());
    }

    #[test]
    fn a_role_fits_into_a_scope_and_a_header() {
        for name in ["a", "org:12/admin", "read.*", "A_b-c", &"x".repeat(64)] {
            assert!(Roles::parse([name]).is_ok(), "{name}");
        }
        for name in ["", "a b", "a,b", "é", "\"", "a\nb", "\\"] {
            assert_eq!(Roles::parse([name]), Err(Fault::InvalidRole), "{name}");
        }
        assert!(Roles::parse([&*"x".repeat(65)]).is_err());
        let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
        assert!(Roles::parse(many.iter().map(String::as_str)).is_err());
        assert!(Roles::parse(many[1..].iter().map(String::as_str)).is_ok());
    }
}
