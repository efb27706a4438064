//! Sessions and their refresh tokens.

pub mod amr;
pub mod device;

use std::time::Duration;

use super::{Amr, Device, SessionId, UserId, UtcTime};

/// A session: one log-in on one device.
#[derive(Clone, Debug)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// Authentication methods of the sign-in, the `amr` of its tokens.
    pub amr: Amr,
    /// The device.
    pub device: Device,
    /// Time of the log-in, the `auth_time` of its tokens.
    pub created_at: UtcTime,
    /// Time of the last refresh.
    pub last_seen_at: UtcTime,
    /// Latest possible end. It never moves.
    pub expires_at: UtcTime,
    /// Time at which it was ended: log-out, reset, theft.
    pub ended_at: Option<UtcTime>,
    /// Reason of the end; `None` if it has not ended or the reason is one of a newer version.
    pub end_reason: Option<EndReason>,
    /// Transport of its refresh tokens; `None` until the first refresh of a session that an earlier
    /// version opened.
    pub transport: Option<Transport>,
}

impl Session {
    /// Returns whether a refresh token of this session may come by `transport`.
    pub fn accepts(&self, transport: Transport) -> bool {
        self.transport.is_none_or(|bound| bound == transport)
    }
}

/// Ways in which a client and the service exchange refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In the JSON body.
    Body,
    /// In a cookie that scripts cannot read.
    Cookie,
}

impl Transport {
    /// Returns the name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Cookie => "cookie",
        }
    }

    /// Returns the transport of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Body, Self::Cookie].into_iter().find(|transport| transport.name() == name)
    }
}

/// Reasons for the end of a session before its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The user logged out, or ended it in the list of sessions.
    LoggedOut,
    /// The user had too many sessions, and this was the least recently used one.
    TooMany,
    /// A replaced refresh token was used again.
    TokenReused,
    /// The password was changed in another session.
    PasswordChanged,
    /// The password was reset by mail.
    PasswordReset,
    /// The user reported unauthorized activity.
    UnauthorizedReported,
    /// Staff ended it.
    EndedByStaff,
    /// The account was disabled.
    AccountDisabled,
    /// The account was deleted.
    AccountDeleted,
}

impl EndReason {
    const ALL: [Self; 9] = [
        Self::LoggedOut,
        Self::TooMany,
        Self::TokenReused,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::UnauthorizedReported,
        Self::EndedByStaff,
        Self::AccountDisabled,
        Self::AccountDeleted,
    ];

    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::TooMany => "too_many",
            Self::TokenReused => "token_reused",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::UnauthorizedReported => "unauthorized_reported",
            Self::EndedByStaff => "ended_by_staff",
            Self::AccountDisabled => "account_disabled",
            Self::AccountDeleted => "account_deleted",
        }
    }

    /// Returns the reason of that name; a later version may have more.
    pub fn from_name(name: &str) -> Option<Self> {
        // As earlier versions stored it.
        let name = if name == "disavowed" { "unauthorized_reported" } else { name };
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Returns whether the reason ended all sessions of the account, including later ones.
    pub const fn is_of_the_account(self) -> bool {
        matches!(self, Self::AccountDisabled | Self::AccountDeleted)
    }
}

/// An ended session, for services that check access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// The user it belonged to.
    pub user_id: UserId,
    /// Time of the end.
    pub at: UtcTime,
    /// Reason; `None` if an older or newer version ended it.
    pub reason: Option<EndReason>,
}

/// A refresh token as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct RefreshToken {
    /// Expiry of the unused token.
    pub expires_at: UtcTime,
    /// Time at which it was exchanged for its successor.
    pub used_at: Option<UtcTime>,
    /// Number of earlier tokens of its session.
    pub generation: i64,
}

impl RefreshToken {
    /// Interval of generations whose replaced token is kept for its whole lifetime. The successors
    /// of a token are derived from it, so the tokens in between lead to the next one that is kept.
    pub const LANDMARK: usize = 16;
    /// Time for which every replaced token is kept, longer than any grace period.
    pub const REMEMBER_REPLACED: Duration = Duration::from_hours(1);
    /// Time for which the others are kept after their expiry: the first token of a session shows
    /// whether the verification that opened it may open another.
    pub const REMEMBER_LANDMARKS: Duration = Duration::from_hours(25);
}

/// States of a presented refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshState {
    /// The newest of its session: it may be exchanged.
    Current,
    /// Just exchanged, and the successor is unused: the same successor is returned again.
    Repeated,
    /// Just exchanged, but the successor has been used as well.
    Superseded,
    /// Exchanged before the grace period: an attacker may hold a copy.
    Reused,
    /// The token or its session has expired.
    Expired,
    /// The session of the token was ended.
    Revoked,
}

impl RefreshState {
    /// Returns the state of `token` of `session`, with its `successor` if there is one.
    pub fn of(
        token: &RefreshToken,
        session: &Session,
        successor: Option<&RefreshToken>,
        grace: Duration,
        now: UtcTime,
    ) -> Self {
        if session.ended_at.is_some() {
            return Self::Revoked;
        }
        if now >= session.expires_at {
            return Self::Expired;
        }
        let Some(used_at) = token.used_at else {
            return if now >= token.expires_at { Self::Expired } else { Self::Current };
        };
        if now > used_at.after(grace) {
            return Self::Reused;
        }
        match successor {
            Some(successor) if successor.used_at.is_none() => Self::Repeated,
            _ => Self::Superseded,
        }
    }

    /// Returns the state of a token of `session` whose row was purged and only its successors are
    /// kept.
    pub fn of_forgotten(session: &Session, now: UtcTime) -> Self {
        if session.ended_at.is_some() {
            Self::Revoked
        } else if now >= session.expires_at {
            Self::Expired
        } else {
            Self::Reused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(seconds)
    }

    fn session(ended_at: Option<UtcTime>) -> Session {
        Session {
            id: SessionId("s".into()),
            user_id: UserId(1),
            amr: Amr::password(),
            device: Device::default(),
            created_at: at(0),
            last_seen_at: at(0),
            expires_at: at(1000),
            ended_at,
            end_reason: None,
            transport: None,
        }
    }

    fn token(used_at: Option<i64>) -> RefreshToken {
        RefreshToken { expires_at: at(500), used_at: used_at.map(at), generation: 0 }
    }

    #[test]
    fn states_change_exactly_at_their_moments() {
        use RefreshState::{Current, Expired, Repeated, Reused, Superseded};
        let unused = token(None);
        let used = token(Some(100));
        for (token, successor, now, expected) in [
            (unused, None, 499, Current),
            (unused, None, 500, Expired),
            (used, Some(unused), 100, Repeated),
            (used, Some(unused), 130, Repeated),
            (used, Some(unused), 131, Reused),
            (used, Some(token(Some(110))), 120, Superseded),
            (used, Some(token(Some(110))), 131, Reused),
            (used, Some(unused), 1000, Expired),
        ] {
            let state =
                RefreshState::of(&token, &session(None), successor.as_ref(), GRACE, at(now));
            assert_eq!(state, expected, "{token:?} at {now}");
        }
    }

    #[test]
    fn an_ended_session_says_revoked_whatever_the_token() {
        for token in [token(None), token(Some(1))] {
            let state = RefreshState::of(&token, &session(Some(at(5))), None, GRACE, at(2000));
            assert_eq!(state, RefreshState::Revoked);
        }
    }

    #[test]
    fn a_forgotten_token_tells_of_theft_while_its_session_is_open() {
        use RefreshState::{Expired, Reused, Revoked};
        for (ended_at, now, expected) in
            [(None, 999, Reused), (None, 1000, Expired), (Some(at(5)), 999, Revoked)]
        {
            assert_eq!(RefreshState::of_forgotten(&session(ended_at), at(now)), expected);
        }
    }
}
