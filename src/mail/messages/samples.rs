//! Sample messages of each kind, with and without optional parts, to check the templates.

use std::time::Duration;

use super::message::{Message, TimedLink};
use crate::domain::UtcTime;

impl Message {
    /// Returns the samples.
    pub(super) fn samples() -> Vec<Self> {
        let link = || "https://example.com/page?token=sample".to_owned();
        let code = || "123456".to_owned();
        let new_email = || "new@example.com".to_owned();
        let device = || "Firefox on Linux".to_owned();
        let lifetime = Duration::from_hours(24);
        let not_me = || TimedLink { link: link(), lifetime };
        let at = UtcTime::from_seconds(1_767_225_600);
        vec![
            Self::VerifyEmail { link: link(), code: code(), lifetime },
            Self::VerifyNewEmail { link: link(), code: code(), lifetime },
            Self::AlreadyRegistered { reset: Some(TimedLink { link: link(), lifetime }) },
            Self::AlreadyRegistered { reset: None },
            Self::ResetPassword { link: link(), code: code(), lifetime },
            Self::Invitation { link: link(), lifetime },
            Self::NewDevice { at, device: device(), not_me: not_me() },
            Self::NewDevice { at, device: String::new(), not_me: not_me() },
            Self::PasswordChanged { at, not_me: not_me() },
            Self::EmailChangeRequested { at, new_email: new_email(), not_me: not_me() },
            Self::EmailChanged { at, new_email: new_email(), not_me: not_me() },
            Self::UsernameChanged {
                at,
                old_username: new_email(),
                new_username: "user-7".to_owned(),
                not_me: Some(not_me()),
            },
            Self::UsernameChanged {
                at,
                old_username: new_email(),
                new_username: "user-7".to_owned(),
                not_me: None,
            },
            Self::RefreshTokenReused { at, not_me: not_me() },
            Self::IdentityLinked { at, provider: "Google".to_owned(), not_me: not_me() },
            Self::IdentityUnlinked { at, provider: "Google".to_owned(), not_me: not_me() },
        ]
    }
}
