//! Registrations: challenges that verify an e-mail address, with what their account gets.

pub mod rules;

use super::{Challenge, Email, Locale, PasswordHash, Username};

/// A challenge of a kind that verifies an e-mail address, with the data of the registration. The
/// address may belong to another person. Several can be pending for one address; the first one that
/// is verified wins.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The challenge, of a kind that verifies an e-mail address.
    pub challenge: Challenge,
    /// The e-mail address to verify, that of the challenge.
    pub email: Email,
    /// The requested user name.
    pub username: Option<Username>,
    /// The password that becomes valid with the verification, or that of the account.
    pub password_hash: PasswordHash,
    /// The language of its mail.
    pub locale: Locale,
}
