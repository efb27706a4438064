//! Challenges: what was asked of the recipient of a mail, and is answered with its link or its
//! code.

use std::time::Duration;

use super::{ChallengeId, Email, TokenHash, UserId, UtcTime};

/// The purposes of challenges. Another thing to be answered is another kind, not another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// Verifies the e-mail address of a registration, which makes it an account.
    Registration,
    /// Verifies the e-mail address of an account.
    VerifyEmail,
    /// Verifies the e-mail address that an account gets in place of its own.
    ChangeEmail,
    /// Lets the user choose a new password.
    ResetPassword,
    /// Lets a user whom staff created choose the first password.
    Invitation,
    /// Reports unauthorized activity, and reverts a change of the e-mail address.
    Disavow,
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
        Self::Disavow,
        Self::SocialLogin,
    ];
    /// The kinds that verify an e-mail address.
    pub const OF_ADDRESS: [Self; 3] = [Self::Registration, Self::VerifyEmail, Self::ChangeEmail];
    /// The kinds that let a user choose a password.
    pub const OF_PASSWORD: [Self; 2] = [Self::ResetPassword, Self::Invitation];
    /// The kinds that are about an account and verify no address on their own.
    pub const OF_ACCOUNT: [Self; 3] = [Self::ResetPassword, Self::Invitation, Self::Disavow];

    /// Returns the name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::VerifyEmail => "verify_email",
            Self::ChangeEmail => "change_email",
            Self::ResetPassword => "reset_password",
            Self::Invitation => "invitation",
            Self::Disavow => "disavow",
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

    /// Returns how long such a challenge can be answered.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Registration | Self::VerifyEmail => Duration::from_hours(24),
            Self::ChangeEmail => Duration::from_hours(1),
            Self::ResetPassword => Duration::from_mins(30),
            Self::Invitation | Self::Disavow => Duration::from_hours(7 * 24),
            Self::SocialLogin => Duration::from_mins(10),
        }
    }

    /// Returns how long an expired challenge is kept: an answer is told "expired" rather than
    /// "unknown", and wrong codes are remembered ([`Challenge::MEMORY`]).
    pub const fn remembered(self) -> Duration {
        match self {
            Self::Registration | Self::VerifyEmail | Self::ChangeEmail => {
                Duration::from_hours(7 * 24)
            }
            Self::ResetPassword | Self::Invitation | Self::Disavow => Challenge::MEMORY,
            Self::SocialLogin => Duration::from_hours(1),
        }
    }
}

/// A challenge as it is stored. Its link and code are derived from its id, or from that of its
/// mail; only their hashes are stored.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// Its id.
    pub id: ChallengeId,
    /// Its purpose.
    pub kind: ChallengeKind,
    /// The account that it is about. A registration has none before it is verified.
    pub user_id: Option<UserId>,
    /// The e-mail address that it verifies, that its mail went to, or that it brings back.
    pub email: Option<Email>,
    /// Text of its mail: a device, a new address.
    pub detail: String,
    /// The hash of the token of the client that asked for it, where only that client may use the
    /// code.
    pub holder_hash: Option<TokenHash>,
    /// The keyed hash of the code of the newest mail.
    pub code_hash: Option<TokenHash>,
    /// When it was made.
    pub created_at: UtcTime,
    /// When it expires.
    pub expires_at: UtcTime,
    /// When it was answered.
    pub used_at: Option<UtcTime>,
}

impl Challenge {
    /// Wrong codes that one mail allows.
    pub const CODE_TRIES: i32 = 5;
    /// Wrong codes that all mails of a registration, or all resets of a user within
    /// [`Self::MEMORY`], allow together. Then only links count: anyone can request mail after mail
    /// and guess on.
    pub const WRONG_CODES: i32 = 15;
    /// How long wrong codes are remembered.
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

    /// Returns true once it cannot be answered any more.
    pub fn has_expired(&self, now: UtcTime) -> bool {
        now >= self.expires_at
    }
}
