//! Challenges: requests to the recipient of a mail, or to a browser at a provider, that are
//! answered once.

use std::time::Duration;

use super::{ChallengeId, Email, TokenHash, UserId, UtcTime};

/// The purposes of challenges. A new purpose is a new kind, not a new table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// Verifies the e-mail address of a registration, which creates the account.
    Registration,
    /// Verifies the e-mail address of an account.
    VerifyEmail,
    /// Verifies the new e-mail address of an account.
    ChangeEmail,
    /// Lets the user choose a new password.
    ResetPassword,
    /// Lets a user whom staff created choose the first password.
    Invitation,
    /// Reports unauthorized activity, and reverts a change of the e-mail address.
    ReportUnauthorized,
    /// Logs in at a provider, or links an identity. Its details are a
    /// [`SocialFlow`](super::SocialFlow).
    SocialLogin,
}

impl ChallengeKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Registration,
        Self::VerifyEmail,
        Self::ChangeEmail,
        Self::ResetPassword,
        Self::Invitation,
        Self::ReportUnauthorized,
        Self::SocialLogin,
    ];
    /// The kinds that verify an e-mail address.
    pub const OF_ADDRESS: [Self; 3] = [Self::Registration, Self::VerifyEmail, Self::ChangeEmail];
    /// The kinds that let a user choose a password.
    pub const OF_PASSWORD: [Self; 2] = [Self::ResetPassword, Self::Invitation];
    /// The kinds that belong to an account and do not verify an address.
    pub const OF_ACCOUNT: [Self; 3] =
        [Self::ResetPassword, Self::Invitation, Self::ReportUnauthorized];

    /// Returns the name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::VerifyEmail => "verify_email",
            Self::ChangeEmail => "change_email",
            Self::ResetPassword => "reset_password",
            Self::Invitation => "invitation",
            Self::ReportUnauthorized => "disavow",
            Self::SocialLogin => "social_login",
        }
    }

    /// Returns the kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns true for the kinds that verify an e-mail address.
    pub fn verifies_address(self) -> bool {
        Self::OF_ADDRESS.contains(&self)
    }

    /// Returns the lifetime of a challenge of this kind.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Registration | Self::VerifyEmail => Duration::from_hours(24),
            Self::ChangeEmail => Duration::from_hours(1),
            Self::ResetPassword => Duration::from_mins(30),
            Self::Invitation | Self::ReportUnauthorized => Duration::from_hours(7 * 24),
            Self::SocialLogin => Duration::from_mins(10),
        }
    }

    /// Returns the time for which an expired challenge is kept, so that the response is "expired"
    /// rather than "unknown", and wrong codes stay counted ([`Challenge::MEMORY`]).
    pub const fn remembered(self) -> Duration {
        match self {
            Self::Registration | Self::VerifyEmail | Self::ChangeEmail => {
                Duration::from_hours(7 * 24)
            }
            Self::ResetPassword | Self::Invitation | Self::ReportUnauthorized => Challenge::MEMORY,
            Self::SocialLogin => Duration::from_hours(1),
        }
    }
}

/// A stored challenge. Its link and code are derived from its id, or from that of its mail; only
/// their hashes are stored.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The id, from which the secrets of a mail can be derived.
    pub id: ChallengeId,
    /// Its purpose.
    pub kind: ChallengeKind,
    /// The account that it is about. A registration has none before it is verified.
    pub user_id: Option<UserId>,
    /// The e-mail address that it verifies, that its mail was sent to, or that it restores.
    pub email: Option<Email>,
    /// Text of its mail: a device, a new address.
    pub detail: String,
    /// The hash of the token of the client that requested it, if only that client may use the code.
    pub holder_hash: Option<TokenHash>,
    /// The keyed hash of the code of the newest mail.
    pub code_hash: Option<TokenHash>,
    /// Time of creation.
    pub created_at: UtcTime,
    /// Time of its expiry.
    pub expires_at: UtcTime,
    /// Time at which it was answered.
    pub used_at: Option<UtcTime>,
}

impl Challenge {
    /// Wrong codes that one mail allows.
    pub const CODE_TRIES: i32 = 5;
    /// Wrong codes that all mails of a registration, or all resets of a user within
    /// [`Self::MEMORY`], allow together. After that only links are accepted: an attacker can
    /// request mail after mail and continue to guess.
    pub const WRONG_CODES: i32 = 15;
    /// Time for which wrong codes stay counted.
    pub const MEMORY: Duration = Duration::from_hours(24);

    /// Returns a new challenge, whose link and code come with its mail.
    pub fn new(kind: ChallengeKind, user_id: Option<UserId>, now: UtcTime) -> Self {
        Self {
            id: ChallengeId::new(now),
            kind,
            user_id,
            email: None,
            detail: String::new(),
            holder_hash: None,
            code_hash: None,
            created_at: now,
            expires_at: now.after(kind.lifetime()),
            used_at: None,
        }
    }

    /// Returns whether it has expired.
    pub fn has_expired(&self, now: UtcTime) -> bool {
        now >= self.expires_at
    }
}
