//! Accounts.

pub mod email;
pub mod guessable;
pub mod metadata;
pub mod password;
pub mod roles;
pub mod username;

use super::{Email, Locale, Metadata, PasswordHash, Roles, UserId, Username, UtcTime};

/// An account. Its e-mail address may be unverified: with verification `optional` or `none`, or
/// after an import or a creation by staff.
#[derive(Clone, Debug)]
pub struct User {
    /// Its user id.
    pub id: UserId,
    /// The user name; without a chosen one, the e-mail address.
    pub username: Username,
    /// The e-mail address. Accounts of an import or of the operator may have none.
    pub email: Option<Email>,
    /// True if the e-mail address is verified.
    pub email_verified: bool,
    /// The stored password.
    pub password_hash: PasswordHash,
    /// True if the account may log in.
    pub is_active: bool,
    /// True for staff, who may manage other accounts.
    pub is_staff: bool,
    /// True for superusers, who may manage staff.
    pub is_superuser: bool,
    /// The language of its mail.
    pub locale: Locale,
    /// Time of creation.
    pub created_at: UtcTime,
    /// Time of the last change.
    pub updated_at: UtcTime,
    /// Time of the last log-in.
    pub last_login_at: Option<UtcTime>,
    /// Metadata that the user's front end keeps with the account.
    pub metadata: Metadata,
    /// Metadata that staff and services keep with it. The user cannot change it.
    pub app_metadata: Metadata,
    /// Its roles in applications.
    pub roles: Roles,
    /// Reason why staff disabled it.
    pub disabled_reason: Option<String>,
    /// Time at which it is enabled again, if it is disabled until then.
    pub disabled_until: Option<UtcTime>,
    /// The generation of the account's tokens of the Django REST adapter: the time of their last
    /// revocation, strictly increasing. A token of another generation is refused.
    pub tokens_from: UtcTime,
    /// The generation of the account's rights: the time of their last change, strictly increasing.
    /// Access tokens of an earlier generation are refused.
    pub rights_changed_at: UtcTime,
}

/// Effect of a change on the e-mail address of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmailChange {
    /// The address is kept.
    #[default]
    Keep,
    /// The address is removed.
    Remove,
    /// The address is replaced by this one.
    Set(Email),
}

impl User {
    /// Returns whether the user may have this name. A name with `@` that is not the user's own
    /// address could pass for another user's, who then could not register it.
    pub fn may_take_name(&self, name: &Username) -> bool {
        !name.as_str().contains('@')
            || name == &self.username
            || name.as_str().eq_ignore_ascii_case(self.email_text())
    }

    /// Returns whether the account has this e-mail address, in any spelling.
    pub fn has_email(&self, email: &Email) -> bool {
        self.email.as_ref().is_some_and(|own| own.normalised() == email.normalised())
    }

    /// The address as text, empty without one, as in tokens.
    pub fn email_text(&self) -> &str {
        self.email.as_ref().map_or("", Email::as_str)
    }
}
