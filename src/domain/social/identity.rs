//! Identities at other services (social log-in).

use crate::domain::{Email, IdentityId, UserId, UtcTime};

/// An identity: a subject at an issuer (OpenID Connect Core section 5.7). It never consists of an
/// e-mail address or a user name, because both can pass to other people.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityKey {
    /// The issuer, as in the `iss` claim; for a service without one, the URL of the service.
    pub issuer: String,
    /// The user id there, as in the `sub` claim.
    pub subject: String,
}

impl IdentityKey {
    /// The longest subject in bytes (OpenID Connect Core section 2).
    pub const MAX_SUBJECT_LENGTH: usize = 255;

    /// Returns the identity, or `None` if no provider may issue such a subject.
    pub fn new(issuer: &str, subject: &str) -> Option<Self> {
        let is_valid = (1..=Self::MAX_SUBJECT_LENGTH).contains(&subject.len())
            && !subject.chars().any(char::is_control);
        is_valid.then(|| Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }
}

/// The user that a provider has authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Issuer and subject.
    pub key: IdentityKey,
    /// The e-mail address, if the provider gave one that can receive mail.
    pub email: Option<Email>,
    /// True if the provider says that the address is verified, and is trusted to say so for its
    /// domain.
    pub email_verified: bool,
    /// The name for display.
    pub name: Option<String>,
}

/// An identity that is linked to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// Its own id.
    pub id: IdentityId,
    /// The account.
    pub user_id: UserId,
    /// The name of the provider in paths and settings.
    pub provider: String,
    /// Issuer and subject.
    pub key: IdentityKey,
    /// The e-mail address that the provider gave last.
    pub email: Option<String>,
    /// Time of linking.
    pub created_at: UtcTime,
    /// Time of the last log-in with it.
    pub last_used_at: Option<UtcTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_short_and_has_no_control_characters() {
        for good in ["1", "248289761001", "a|b/c é", &"x".repeat(255)] {
            assert!(IdentityKey::new("https://issuer", good).is_some(), "{good}");
        }
        for bad in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(IdentityKey::new("https://issuer", bad).is_none(), "{bad}");
        }
    }
}
