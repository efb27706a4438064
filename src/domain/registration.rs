//! Verifications of e-mail addresses: challenges, with what their account gets.

pub mod rules;

use super::{
    Challenge, ChallengeKind, Email, Locale, PasswordHash, PlainToken, UserId, Username, UtcTime,
};

/// A registration, a change of the e-mail address of an account, or a repeated verification: a
/// challenge that verifies an address, with the data that its account gets. The address may belong
/// to another person. Several can be pending for one address; the first one that is verified wins.
#[derive(Clone, Debug)]
pub struct AddressVerification {
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

impl AddressVerification {
    /// Returns the verification of `email` for the client that holds the registration token
    /// `holder`, without a user name and a password.
    pub fn new(
        kind: ChallengeKind,
        user: Option<UserId>,
        email: Email,
        holder: &PlainToken,
        now: UtcTime,
    ) -> Self {
        Self {
            challenge: Challenge {
                email: Some(email.clone()),
                holder_hash: Some(holder.hash()),
                ..Challenge::new(kind, user, now)
            },
            email,
            username: None,
            password_hash: PasswordHash::unusable(),
            locale: Locale::default(),
        }
    }
}
