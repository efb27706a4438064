//! Authentication methods of a session.

use std::fmt;

/// Authentication method references: the methods that a sign-in used, the `amr` of its access
/// tokens (RFC 8176).
///
/// Values in use are `pwd` (a password), `email` (a code or link sent by mail) and `fed` (a log-in
/// at another service); the last two are our own values, since RFC 8176 has none. `otp` is reserved
/// for generators of one-time passwords, which never stand alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amr(Vec<String>);

impl Amr {
    /// Returns the methods of a log-in with a password.
    pub fn password() -> Self {
        Self(vec!["pwd".to_owned()])
    }

    /// Returns the methods of a sign-in with a code or link that was sent by mail.
    pub fn email() -> Self {
        Self(vec!["email".to_owned()])
    }

    /// Returns the methods of a log-in at another service.
    pub fn federated() -> Self {
        Self(vec!["fed".to_owned()])
    }

    /// Returns whether the only evidence is a mail.
    pub fn is_email_only(&self) -> bool {
        *self == Self::email()
    }

    /// Returns the names of the methods.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Reads the stored form: names separated by spaces. Unknown names are kept, since a later
    /// version may have stored them. `otp` alone is what earlier versions stored for a sign-in by
    /// mail.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "otp" => Self::email(),
            _ => Self(text.split_whitespace().map(str::to_owned).collect()),
        }
    }
}

/// Writes the stored form.
impl fmt::Display for Amr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_back() {
        for amr in [Amr::password(), Amr::email(), Amr::federated(), Amr::from_stored("pwd otp")] {
            assert_eq!(Amr::from_stored(&amr.to_string()), amr);
        }
        assert_eq!(Amr::from_stored("pwd otp").names(), ["pwd", "otp"]);
        assert_eq!(Amr::from_stored("otp").names(), ["email"]);
    }
}
