//! Identifiers. User ids are numbers that count up and are preserved by an import; the others are
//! UUIDs as text.

use std::sync::atomic::{AtomicU32, Ordering};

use uuid::{Builder, Uuid};

use super::UtcTime;

/// The user id of an account, the `sub` of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

impl UserId {
    /// A user id that no account has: those of accounts begin with 1.
    pub const NONE: Self = Self(0);
}

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_text {
    ($name:ident) => {
        impl $name {
            /// Parses an id that a client sent; `None` if it is not a UUID.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::parse_str(text).ok().map(|id| Self(id.to_string()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub String);

        impl $name {
            /// Returns a new `UUIDv7` (RFC 9562), which sorts by its time.
            pub fn new(now: UtcTime) -> Self {
                Self(uuid_v7(now, &random_tail()).to_string())
            }

            /// Returns the lowest id of that time.
            pub fn first_at(time: UtcTime) -> Self {
                Self(uuid_v7(time, &[0; 10]).to_string())
            }
        }

        uuid_text!($name);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One log-in on one device, the `sid` of its tokens.
    SessionId
);
uuid_id!(
    /// One challenge, whose secrets are derived from it.
    ChallengeId
);
uuid_id!(
    /// One identity at another service that is linked to an account.
    IdentityId
);
uuid_id!(
    /// One API key.
    ApiKeyId
);
uuid_id!(
    /// One job of the queue. That of a mail is also the local part of its `Message-ID`.
    JobId
);
uuid_id!(
    /// One access token, its `jti`.
    TokenId
);
uuid_id!(
    /// One claim of a worker on jobs.
    LeaseId
);

/// One event of the audit trail. Ids of one process in the same millisecond sort in the order of
/// their creation, and so do the events of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId(pub String);

uuid_text!(EventId);

impl EventId {
    /// Returns a new `UUIDv7` with a counter after the time (RFC 9562 section 6.2, method 1).
    pub fn new(now: UtcTime) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let mut tail = random_tail();
        // 18 bits: the rest of the first three bytes after version and variant.
        let count = MADE.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = ((count >> 6) & 0x0fff).to_be_bytes();
        let [.., last] = (count & 0x3f).to_be_bytes();
        tail[..3].copy_from_slice(&[high, low, last]);
        Self(uuid_v7(now, &tail).to_string())
    }

    /// The lowest id that an event at `time` can have.
    pub fn first_at(time: UtcTime) -> Self {
        Self(uuid_v7(time, &[0; 10]).to_string())
    }
}

fn uuid_v7(now: UtcTime, tail: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, tail).into_uuid()
}

fn random_tail() -> [u8; 10] {
    super::token::random_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        let earlier = SessionId::new(UtcTime::from_seconds(1_700_000_000));
        let later = SessionId::new(UtcTime::from_seconds(1_700_000_001));
        assert!(earlier.as_str() < later.as_str());
        assert_eq!(Uuid::parse_str(later.as_str()).unwrap().get_version_num(), 7);
    }

    #[test]
    fn events_of_one_moment_sort_in_the_order_in_which_they_were_made() {
        let now = UtcTime::from_seconds(1_700_000_000);
        let ids: Vec<EventId> = (0..10_000).map(|_| EventId::new(now)).collect();
        assert!(ids.is_sorted_by(|earlier, later| earlier.as_str() < later.as_str()));
        assert_eq!(Uuid::parse_str(ids[9_999].as_str()).unwrap().get_version_num(), 7);
        assert!(ids.iter().all(|id| EventId::first_at(now).as_str() <= id.as_str()));
        let next = EventId::first_at(UtcTime::from_micros(now.micros() + 1_000));
        assert!(ids.iter().all(|id| id.as_str() < next.as_str()));
    }
}
