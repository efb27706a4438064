//! One-time tokens: what a mail to the owner of an account carries.

use std::time::Duration;

use super::{Email, OneTimeId, TokenHash, UserId, UtcTime};

/// What a one-time token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To choose a new password.
    ResetPassword,
    /// To choose the first password of an account that staff made.
    Invitation,
    /// To say "this was not me", and undo it.
    Disavow,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::ResetPassword, Self::Invitation, Self::Disavow];

    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset_password",
            Self::Invitation => "invitation",
            Self::Disavow => "disavow",
        }
    }

    /// The purpose of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }

    /// How long such a token counts.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::ResetPassword => Duration::from_mins(30),
            Self::Invitation | Self::Disavow => Duration::from_hours(7 * 24),
        }
    }
}

/// A one-time token as it is stored.
#[derive(Clone, Debug)]
pub struct OneTimeToken {
    /// Its id.
    pub id: OneTimeId,
    /// Whose account it opens or protects.
    pub user_id: UserId,
    /// What it is good for.
    pub purpose: Purpose,
    /// The address it was sent to, which is also the one that a disavowal brings back.
    pub email: Option<Email>,
    /// What the mail tells: a device, a new address.
    pub detail: String,
    /// The digits of the mail, keyed.
    pub code_hash: Option<TokenHash>,
    /// When its story began.
    pub created_at: UtcTime,
    /// When it stops counting.
    pub expires_at: UtcTime,
    /// When it was used.
    pub used_at: Option<UtcTime>,
}

impl OneTimeToken {
    /// Wrong codes that one mail forgives.
    pub const CODE_TRIES: i32 = 5;
    /// Wrong codes that all mails to a person forgive together within [`Self::MEMORY`]; then only
    /// links count. Anybody can ask for mail after mail and guess on.
    pub const WRONG_CODES: i32 = 15;
    /// How long wrong codes are remembered.
    pub const MEMORY: Duration = Duration::from_hours(24);

    /// Returns whether its time is over.
    pub fn has_expired(&self, now: UtcTime) -> bool {
        now >= self.expires_at
    }
}
