//! Sessions and their refresh tokens.

use std::time::Duration;

use super::{SessionId, UserId, UtcTime};

/// One log-in on one device.
#[derive(Clone, Debug)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// How the person proved who they are, the `amr` of its tokens (RFC 8176).
    pub amr: String,
    /// When that was, the `auth_time` of its tokens.
    pub created_at: UtcTime,
    /// When it ends at the latest. This never moves.
    pub expires_at: UtcTime,
    /// When it was ended: log-out, reset, theft.
    pub ended_at: Option<UtcTime>,
}

/// A refresh token as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct RefreshToken {
    /// When it is forgotten if nobody uses it.
    pub expires_at: UtcTime,
    /// When it was exchanged for its successor.
    pub used_at: Option<UtcTime>,
}

/// What presenting a refresh token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshState {
    /// The newest of its session: it may be exchanged.
    Current,
    /// Just exchanged, and the successor is unused: the same successor is due once more.
    Repeated,
    /// Just exchanged, but the successor has been used as well.
    Superseded,
    /// Exchanged long ago: somebody else holds a copy.
    Reused,
    /// Its time, or that of the session, is over.
    Expired,
    /// Its session was ended.
    Revoked,
}

impl RefreshState {
    /// The state of `token` of `session`, whose successor (if there is one) is `successor`.
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
            amr: "pwd".into(),
            created_at: at(0),
            expires_at: at(1000),
            ended_at,
        }
    }

    fn token(used_at: Option<i64>) -> RefreshToken {
        RefreshToken { expires_at: at(500), used_at: used_at.map(at) }
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
}
