//! Identifiers. User ids count up and survive an import; the others are UUIDs as text.

use uuid::{Builder, Uuid};

use super::UtcTime;

/// The number of an account, the `sub` of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub String);

        impl $name {
            /// A new `UUIDv7` (RFC 9562): sorts by the time it was made.
            pub fn new(now: UtcTime) -> Self {
                Self(uuid_v7(now).to_string())
            }

            /// An id as a client sent it; `None` if it is none.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::parse_str(text).ok().map(|id| Self(id.to_string()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

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
    /// One registration that waits for its address to be proven.
    RegistrationId
);
uuid_id!(
    /// One mail to be sent.
    MailId
);

uuid_id!(
    /// One access token, its `jti`.
    TokenId
);
uuid_id!(
    /// One one-time token, whose secrets are derived from it.
    OneTimeId
);
uuid_id!(
    /// The right to send a mail, for a while.
    LeaseId
);

fn uuid_v7(now: UtcTime) -> Uuid {
    let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
    let random: [u8; 16] = super::token::random_bytes();
    let mut tail = [0; 10];
    tail.copy_from_slice(&random[..10]);
    Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
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
}
