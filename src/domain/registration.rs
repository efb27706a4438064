//! Registrations that wait for their address to be proven.

use super::{Email, Locale, PasswordHash, RegistrationId, TokenHash, UserId, Username, UtcTime};

/// What a user typed who may or may not own the address. Several stand beside each other for
/// one address; the first that is proven wins.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its id.
    pub id: RegistrationId,
    /// The account it belongs to already, where accounts come before the proof (verification
    /// policy `optional`), and after the proof.
    pub user_id: Option<UserId>,
    /// The address to prove.
    pub email: Email,
    /// The name that was asked for.
    pub username: Option<Username>,
    /// The password that becomes valid with the proof.
    pub password_hash: PasswordHash,
    /// The language of its mail.
    pub locale: Locale,
    /// What the browser that registered holds.
    pub token_hash: TokenHash,
    /// The six digits of the newest mail, keyed.
    pub code_hash: Option<TokenHash>,
    /// When it stops counting.
    pub expires_at: UtcTime,
    /// When it was proven.
    pub proven_at: Option<UtcTime>,
    /// True if the proof gives its account this address in place of the old one.
    pub changes_email: bool,
}

impl Registration {
    /// How long a registration waits.
    pub const LIFETIME: std::time::Duration = std::time::Duration::from_hours(24);
    /// How long a change of address waits.
    pub const CHANGE_LIFETIME: std::time::Duration = std::time::Duration::from_hours(1);
    /// Wrong codes that one mail forgives.
    pub const CODE_TRIES: i32 = 5;
    /// Wrong codes that all mails of a registration forgive together. After that only the link
    /// counts: an attacker who registers a stranger's address must not guess on with ever new
    /// mails.
    pub const WRONG_CODES: i32 = 15;

    /// Returns whether its time is over.
    pub fn has_expired(&self, now: UtcTime) -> bool {
        now >= self.expires_at
    }
}
