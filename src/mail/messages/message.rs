//! The kinds of mail and their content.

use std::time::Duration;

use minijinja::{Value, context};

use super::words::{minute, no_link, span};
use crate::domain::{Language, UtcTime};
use crate::mail::mime;

/// A kind of mail with its content.
pub enum Message {
    /// Verifies the address of a registration.
    VerifyEmail {
        /// URL of the page, with the token.
        link: String,
        /// Digits that can be typed in its place.
        code: String,
        /// Lifetime of both.
        lifetime: Duration,
    },
    /// Verifies the new address of an account.
    VerifyNewEmail {
        /// URL of the page, with the token.
        link: String,
        /// Digits that can be typed in its place.
        code: String,
        /// Lifetime of both.
        lifetime: Duration,
    },
    /// Tells the owner of an account that its address was given at a registration, or as the new
    /// address of another account.
    AlreadyRegistered {
        /// Page for a new password, in case the owner registered again because it was forgotten.
        reset: Option<TimedLink>,
    },
    /// Lets the owner of an account choose a new password.
    ResetPassword {
        /// URL of the page, with the token.
        link: String,
        /// Digits that can be typed in its place.
        code: String,
        /// Lifetime of both.
        lifetime: Duration,
    },
    /// Tells that staff created the account, and lets its owner choose the first password.
    Invitation {
        /// URL of the page, with the token.
        link: String,
        /// Lifetime of the link.
        lifetime: Duration,
    },
    /// Tells of a log-in on a new device.
    NewDevice {
        /// Time of the log-in.
        at: UtcTime,
        /// Name of the device by its own account; may be empty.
        device: String,
        /// Page that ends all sessions.
        not_me: TimedLink,
    },
    /// Tells that the password was changed or reset.
    PasswordChanged {
        /// Time of the change.
        at: UtcTime,
        /// Page that ends all sessions.
        not_me: TimedLink,
    },
    /// Tells the old address that a change to a new one was requested.
    EmailChangeRequested {
        /// Time of the request.
        at: UtcTime,
        /// New address.
        new_email: String,
        /// Page that stops the change and ends all sessions.
        not_me: TimedLink,
    },
    /// Tells the old address that it is replaced.
    EmailChanged {
        /// Time of the change.
        at: UtcTime,
        /// Address of the account from now on.
        new_email: String,
        /// Page that reverts the change and ends all sessions.
        not_me: TimedLink,
    },
    /// Tells that the user name was changed, as it was an address that another user verified.
    UsernameChanged {
        /// Time of the change.
        at: UtcTime,
        /// User name before.
        old_username: String,
        /// User name from now on.
        new_username: String,
        /// Page that ends all sessions; `None` if the address of the account is not verified.
        not_me: Option<TimedLink>,
    },
    /// Tells that a session was ended because a replaced refresh token came again.
    RefreshTokenReused {
        /// Time of the request with the token.
        at: UtcTime,
        /// Page that ends all other sessions too.
        not_me: TimedLink,
    },
    /// Tells that an identity at a provider was linked to the account.
    IdentityLinked {
        /// Time of the link.
        at: UtcTime,
        /// Name of the provider.
        provider: String,
        /// Page that unlinks the identity and ends all sessions.
        not_me: TimedLink,
    },
    /// Tells that an identity at a provider was unlinked from the account.
    IdentityUnlinked {
        /// Time of the removal.
        at: UtcTime,
        /// Name of the provider.
        provider: String,
        /// Page that ends all sessions.
        not_me: TimedLink,
    },
}

/// A link that is valid for a time.
pub struct TimedLink {
    /// URL of the page, with the token.
    pub link: String,
    /// Lifetime of the link.
    pub lifetime: Duration,
}

impl Message {
    /// Returns the name of its templates.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::VerifyNewEmail { .. } => "verify_new_email",
            Self::AlreadyRegistered { .. } => "already_registered",
            Self::ResetPassword { .. } => "reset_password",
            Self::Invitation { .. } => "invitation",
            Self::NewDevice { .. } => "new_device",
            Self::PasswordChanged { .. } => "password_changed",
            Self::EmailChangeRequested { .. } => "email_change_requested",
            Self::EmailChanged { .. } => "email_changed",
            Self::UsernameChanged { .. } => "username_changed",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::IdentityLinked { .. } => "identity_linked",
            Self::IdentityUnlinked { .. } => "identity_unlinked",
        }
    }

    /// Returns its link with the token, if it has one.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::VerifyEmail { link, .. }
            | Self::VerifyNewEmail { link, .. }
            | Self::ResetPassword { link, .. }
            | Self::Invitation { link, .. } => Some(link),
            Self::AlreadyRegistered { reset: link }
            | Self::UsernameChanged { not_me: link, .. } => {
                link.as_ref().map(|link| link.link.as_str())
            }
            Self::NewDevice { not_me, .. }
            | Self::PasswordChanged { not_me, .. }
            | Self::EmailChangeRequested { not_me, .. }
            | Self::EmailChanged { not_me, .. }
            | Self::RefreshTokenReused { not_me, .. }
            | Self::IdentityLinked { not_me, .. }
            | Self::IdentityUnlinked { not_me, .. } => Some(&not_me.link),
        }
    }

    /// Returns its code, if it has one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::VerifyEmail { code, .. }
            | Self::VerifyNewEmail { code, .. }
            | Self::ResetPassword { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Returns the values that its templates can use beside `service` and `language`.
    pub(super) fn values(&self, language: Language) -> Value {
        match self {
            Self::VerifyEmail { link, code, lifetime }
            | Self::VerifyNewEmail { link, code, lifetime }
            | Self::ResetPassword { link, code, lifetime } => {
                context! { link, code, lifetime => span(language, *lifetime) }
            }
            Self::AlreadyRegistered { reset } => context! {
                link => reset.as_ref().map(|reset| &reset.link),
                lifetime => reset.as_ref().map(|reset| span(language, reset.lifetime)),
            },
            Self::Invitation { link, lifetime } => {
                context! { link, lifetime => span(language, *lifetime) }
            }
            Self::NewDevice { at, device, not_me } => {
                context! { at => minute(*at), device => no_link(device), ..not_me.values(language) }
            }
            Self::EmailChangeRequested { at, new_email, not_me }
            | Self::EmailChanged { at, new_email, not_me } => context! {
                at => minute(*at), new_email => mime::one_line(new_email), ..not_me.values(language)
            },
            Self::UsernameChanged { at, old_username, new_username, not_me } => context! {
                at => minute(*at),
                old_username => mime::one_line(old_username),
                new_username => mime::one_line(new_username),
                not_me => not_me.as_ref().map(|not_me| &not_me.link),
                lifetime => not_me.as_ref().map(|not_me| span(language, not_me.lifetime)),
            },
            Self::IdentityLinked { at, provider, not_me }
            | Self::IdentityUnlinked { at, provider, not_me } => context! {
                at => minute(*at), provider => mime::one_line(provider), ..not_me.values(language)
            },
            Self::PasswordChanged { at, not_me } | Self::RefreshTokenReused { at, not_me } => {
                context! { at => minute(*at), ..not_me.values(language) }
            }
        }
    }
}

impl TimedLink {
    /// Returns the values of the link to report unauthorized activity.
    fn values(&self, language: Language) -> Value {
        context! { not_me => &self.link, lifetime => span(language, self.lifetime) }
    }
}
