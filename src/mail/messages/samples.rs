//! One message of each kind and shape, to try the templates with.

use std::time::Duration;

use super::{Message, ResetLink};
use crate::domain::UtcTime;

impl Message {
    /// One of each kind and shape.
    pub(super) fn samples() -> Vec<Self> {
        let link = || "https://example.com/page?token=sample".to_owned();
        let code = || "123456".to_owned();
        let new_email = || "new@example.com".to_owned();
        let device = || "Firefox on Linux".to_owned();
        let lifetime = Duration::from_hours(24);
        let at = UtcTime::from_seconds(1_767_225_600);
        vec![
            Self::VerifyEmail { link: link(), code: code(), lifetime },
            Self::VerifyNewEmail { link: link(), code: code(), lifetime },
            Self::AlreadyRegistered { reset: Some(ResetLink { link: link(), lifetime }) },
            Self::AlreadyRegistered { reset: None },
            Self::ResetPassword { link: link(), code: code(), lifetime },
            Self::Invitation { link: link(), lifetime },
            Self::NewDevice { at, device: device(), not_me: link() },
            Self::NewDevice { at, device: String::new(), not_me: link() },
            Self::PasswordChanged { at, not_me: link() },
            Self::EmailChangeRequested { at, new_email: new_email(), not_me: link() },
            Self::EmailChanged { at, new_email: new_email(), not_me: link() },
            Self::RefreshTokenReused { at, not_me: Some(link()) },
            Self::RefreshTokenReused { at, not_me: None },
        ]
    }
}
