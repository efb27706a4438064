//! Accounts.
pub mod email;
pub mod guessable;
pub mod metadata;
pub mod password;
pub mod roles;
pub mod username;

use super::{Email, Locale, Metadata, PasswordHash, Roles, UserId, Username, UtcTime};

/// An account: a user with a verified e-mail address, or one that an operator made.
#[derive(Clone, Debug)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// The name to log in with; the address where none was chosen.
    pub username: Username,
    /// The address. Accounts made by an operator or imported may have none.
    pub email: Option<Email>,
    /// True if the e-mail address is verified.
    pub email_verified: bool,
    /// The stored password.
    pub password_hash: PasswordHash,
    /// True if the account may log in.
    pub is_active: bool,
    /// True if it may manage others.
    pub is_staff: bool,
    /// True if it may manage staff.
    pub is_superuser: bool,
    /// The language of its mail.
    pub locale: Locale,
    /// Time of creation.
    pub created_at: UtcTime,
    /// Time of the last change.
    pub updated_at: UtcTime,
    /// Time of the last log-in.
    pub last_login_at: Option<UtcTime>,
    /// Data that the user's front end keeps with the account.
    pub metadata: Metadata,
    /// What staff and services keep with it. The user cannot change it.
    pub app_metadata: Metadata,
    /// Its roles in applications.
    pub roles: Roles,
    /// Reason why staff disabled it.
    pub disabled_reason: Option<String>,
    /// When it may log in again, if it is switched off until then.
    pub disabled_until: Option<UtcTime>,
    /// The generation of the account's Django tokens: the time of their last revocation, strictly
    /// increasing. A token of another generation is refused.
    pub tokens_from: UtcTime,
    /// The generation of the account's rights: the time of their last change, strictly increasing.
    /// Access tokens of an earlier generation are refused.
    pub rights_changed_at: UtcTime,
}

/// Effect of a change on the e-mail address of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmailChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// The account has none any more.
    Remove,
    /// This is the new one.
    Set(Email),
}

impl User {
    /// Returns whether this person may call themselves `name`. A name with `@` that is not their
    /// own address could pass for another user's, who then could not register it.
    pub fn may_take_name(&self, name: &Username) -> bool {
        !name.as_str().contains('@')
            || name == &self.username
            || name.as_str().eq_ignore_ascii_case(self.email_text())
    }

    /// The address as text, empty where there is none, as tokens carry it.
    pub fn email_text(&self) -> &str {
        self.email.as_ref().map_or("", Email::as_str)
    }
}
