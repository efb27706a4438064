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
    /// The user registered, or the operator created the account at the command line
    /// (`command_line`).
    Registered, "registered";
    /// Staff created the account; with `invited`, by an invitation.
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
    /// So many wrong passwords that the next attempts have to wait; the detail names the limit.
    RateLimited, "rate_limited";
    /// A log-out by the holder of the session's tokens.
    LoggedOut, "logged_out";
    /// The session was ended from another one, or because there were too many (`too_many`).
    SessionEnded, "session_ended";
    /// Staff ended every session.
    SessionsEndedByStaff, "sessions_ended_by_staff";
    /// A replaced refresh token was used again: the session was ended.
    RefreshTokenReused, "refresh_token_reused";
    /// The user changed the password; the other sessions were ended.
    PasswordChanged, "password_changed";
    /// A mail with a password reset was composed.
    PasswordResetRequested, "password_reset_requested";
    /// A new password was set by mail (with `invitation`, the first one); every session was ended.
    PasswordReset, "password_reset";
    /// The user requested a change of the e-mail address.
    EmailChangeRequested, "email_change_requested";
    /// The e-mail address was changed.
    EmailChanged, "email_changed";
    /// The user reported unauthorized activity ("this was not me"): every session was ended.
    UnauthorizedReported, "unauthorized_reported";
    /// Fields of the profile were changed; the detail names them.
    ProfileChanged, "profile_changed";
    /// The account was disabled; every session was ended.
    AccountDisabled, "account_disabled";
    /// The account was enabled; with `date`, because the time had come until which it was disabled.
    AccountEnabled, "account_enabled";
    /// The account became staff.
    StaffGranted, "staff_granted";
    /// The account is no longer staff.
    StaffRevoked, "staff_revoked";
    /// An identity at another service was linked; the detail names the provider.
    IdentityLinked, "identity_linked";
    /// An identity at another service was unlinked; the detail names the provider.
    IdentityUnlinked, "identity_unlinked";
    /// The roles of the account changed; its access tokens were revoked.
    RolesChanged, "roles_changed";
    /// The superuser created an API key; the detail is its id.
    ApiKeyCreated, "api_key_created";
    /// The superuser revoked an API key, or reported unauthorized activity after it was created; the
    /// detail is its id.
    ApiKeyRevoked, "api_key_revoked";
    /// The user exported the data of the account.
    Exported, "exported";
    /// The account was deleted. Its devices and networks were erased.
    AccountDeleted, "account_deleted";
}

impl EventKind {
    /// Returns the kind of that name; a later version may have more.
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
    /// The staff member who acted, if any.
    pub actor_id: Option<UserId>,
    /// The API key of the service that acted, if any.
    pub api_key: Option<ApiKeyId>,
    /// The session.
    pub session_id: Option<SessionId>,
    /// The device. That of staff is not stored, since the user can read the events.
    pub device: Device,
    /// Time of the event.
    pub at: UtcTime,
}

impl EventContext {
    /// Returns the context of an event of that account.
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

    /// Sets the staff member who acts.
    #[must_use]
    pub fn by(self, staff: UserId) -> Self {
        Self { actor_id: Some(staff), ..self }
    }

    /// Sets the API key of the service that acts.
    #[must_use]
    pub fn by_key(self, key: &ApiKeyId) -> Self {
        Self { api_key: Some(key.clone()), ..self }
    }

    /// Returns whether the actor is not the user.
    pub fn is_by_other(&self) -> bool {
        self.actor_id.is_some() || self.api_key.is_some()
    }

    /// Sets the session.
    #[must_use]
    pub fn in_session(self, session: &SessionId) -> Self {
        Self { session_id: Some(session.clone()), ..self }
    }

    /// Sets the device.
    #[must_use]
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }
}

/// An event of the audit trail, as it is stored.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id. Ids of later events sort later.
    pub id: EventId,
    /// Kind of the event.
    pub kind: EventKind,
    /// Account, actor, session, device and time.
    pub context: EventContext,
    /// Detail that depends on the kind: chosen by the service, never by a client.
    pub detail: String,
    /// The name of the API key in the context.
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
