//! Events of accounts in the audit trail: kind, account, actor, network, device and time. No
//! secret, no e-mail address and no value of a field is ever part of one.

use super::{ApiKeyId, Device, EventId, SessionId, UserId, UtcTime};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident, $name:literal;)*) => {
        /// Kinds of events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[doc = $doc])* $variant,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as stored and sent.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the description of the kind in the OpenAPI document.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

kinds! {
    /// The person made the account, or the operator did from the command line (`command_line`).
    Registered, "registered";
    /// Staff made the account; with `invited`, by an invitation.
    AccountCreatedByStaff, "account_created_by_staff";
    /// Staff sent the invitation again.
    InvitedAgain, "invited_again";
    /// The e-mail address was verified.
    EmailVerified, "email_verified";
    /// A log-in; the detail is its method (`pwd`, `email`, `fed`, `django`).
    LoggedIn, "logged_in";
    /// A wrong password, or the right one of an account that is disabled (`account_disabled`).
    LogInFailed, "log_in_failed";
    /// A wrong password in a re-authentication.
    ReauthenticationFailed, "reauthentication_failed";
    /// So many wrong passwords that the next ones have to wait; the detail names the limit.
    RateLimited, "rate_limited";
    /// A log-out by the holder of the session's tokens.
    LoggedOut, "logged_out";
    /// The session was ended from another one, or because there were too many (`too_many`).
    SessionEnded, "session_ended";
    /// Staff ended every session.
    SessionsEndedByStaff, "sessions_ended_by_staff";
    /// A refresh token that had been replaced came again: the session was ended.
    RefreshTokenReused, "refresh_token_reused";
    /// The person changed the password; the other sessions were ended.
    PasswordChanged, "password_changed";
    /// A mail was written that lets the owner of the address choose a new password.
    PasswordResetRequested, "password_reset_requested";
    /// A new password was chosen by mail (with `invitation`, the first one); every session was
    /// ended.
    PasswordReset, "password_reset";
    /// The person asked for another address.
    EmailChangeRequested, "email_change_requested";
    /// The account has another address.
    EmailChanged, "email_changed";
    /// The user reported unauthorized activity ("this was not me"): every session was ended.
    UnauthorizedReported, "unauthorized_reported";
    /// Fields of the profile were changed; the detail names them.
    ProfileChanged, "profile_changed";
    /// The account was switched off; every session was ended.
    AccountDisabled, "account_disabled";
    /// The account was switched on again; with `date`, because the date came until which it was disabled.
    AccountEnabled, "account_enabled";
    /// The account may manage others from now on.
    StaffGranted, "staff_granted";
    /// The account may not manage others any more.
    StaffRevoked, "staff_revoked";
    /// An identity at another service was linked; the detail names the provider.
    IdentityLinked, "identity_linked";
    /// An identity at another service was unlinked; the detail names the provider.
    IdentityUnlinked, "identity_unlinked";
    /// The account has other roles; its access tokens were revoked.
    RolesChanged, "roles_changed";
    /// The superuser created an API key; the detail is its id.
    ApiKeyCreated, "api_key_created";
    /// The superuser revoked an API key; the detail is its id.
    ApiKeyRevoked, "api_key_revoked";
    /// The person took a copy of everything that is stored.
    Exported, "exported";
    /// The account was removed. What was known of devices and networks went with it.
    AccountDeleted, "account_deleted";
}

impl EventKind {
    /// Returns the kind of that name; a later version may know more.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            // As earlier versions stored them.
            "address_proven" => "email_verified",
            "disavowed" => "unauthorized_reported",
            name => name,
        };
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// Account, actor, network, device and time of an event.
#[derive(Clone, Debug)]
pub struct EventContext {
    /// The account; `None` for a failed log-in with an unknown user name.
    pub user_id: Option<UserId>,
    /// The member of staff who acted, if it was one.
    pub actor_id: Option<UserId>,
    /// The API key of the service that did it.
    pub api_key: Option<ApiKeyId>,
    /// In which session.
    pub session_id: Option<SessionId>,
    /// On what device. Of staff it is not remembered: the person reads this.
    pub device: Device,
    /// Time of the event.
    pub at: UtcTime,
}

impl EventContext {
    /// Something about that account.
    pub fn of(user_id: impl Into<Option<UserId>>, at: UtcTime) -> Self {
        let user_id = user_id.into();
        Self {
            user_id,
            actor_id: None,
            api_key: None,
            session_id: None,
            device: Device::default(),
            at,
        }
    }

    /// Done by staff.
    #[must_use]
    pub fn by(self, staff: UserId) -> Self {
        Self { actor_id: Some(staff), ..self }
    }

    /// Done by the service that holds that key.
    #[must_use]
    pub fn by_key(self, key: &ApiKeyId) -> Self {
        Self { api_key: Some(key.clone()), ..self }
    }

    /// Returns whether another than the user did it.
    pub fn is_by_other(&self) -> bool {
        self.actor_id.is_some() || self.api_key.is_some()
    }

    /// In that session.
    #[must_use]
    pub fn in_session(self, session: &SessionId) -> Self {
        Self { session_id: Some(session.clone()), ..self }
    }

    /// On that device.
    #[must_use]
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id: those of later events sort later.
    pub id: EventId,
    /// Kind of the event.
    pub kind: EventKind,
    /// Account, actor, network, device and time.
    pub scene: EventContext,
    /// Detail that depends on the kind: chosen by the service, never by a client.
    pub detail: String,
    /// The name of the API key of the scene.
    pub api_key_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(*kind));
            assert!(kind.meaning().ends_with('.'), "{}", kind.meaning());
        }
        assert_eq!(EventKind::from_name("address_proven"), Some(EventKind::EmailVerified));
        assert_eq!(EventKind::from_name("disavowed"), Some(EventKind::UnauthorizedReported));
        assert_eq!(EventKind::from_name("teleported"), None);
    }
}
