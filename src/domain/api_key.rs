//! API keys, the credentials of services.

use std::time::Duration;

use super::{ApiKeyId, Fault, Length, UserId, UtcTime};

macro_rules! scopes {
    ($($(#[doc = $doc:literal])* $variant:ident, $name:literal;)*) => {
        /// A right of an API key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as stored and sent.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// A description for the document.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

scopes! {
    /// Reads accounts and their audit trails.
    UsersRead, "users:read";
    /// Creates, changes and deletes accounts that are not staff, and ends their sessions.
    UsersWrite, "users:write";
    /// Asks whether a token is active (RFC 7662).
    Introspect, "introspect";
    /// Revokes tokens (RFC 7009).
    Revoke, "revoke";
}

impl Scope {
    /// Returns the scope of that name; a later version may know more.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name)
    }

    /// Parses the stored form, names separated by spaces. Unknown names are ignored.
    pub fn known(text: &str) -> Vec<Self> {
        text.split(' ').filter_map(Self::from_name).collect()
    }

    /// Returns the names separated by spaces, in a fixed order and each once.
    pub fn to_text(scopes: &[Self]) -> String {
        let names = Self::ALL.iter().filter(|it| scopes.contains(it)).map(|it| it.name());
        names.collect::<Vec<&str>>().join(" ")
    }
}

/// An API key, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The id, which the audit trail names. It is no part of the secret.
    pub id: ApiKeyId,
    /// The name that its creator gave it.
    pub name: String,
    /// The requests that it permits.
    pub scopes: Vec<Scope>,
    /// The superuser who created it; `None` for the command line.
    pub created_by: Option<UserId>,
    /// Time of its creation.
    pub created_at: UtcTime,
    /// Time of its expiry; `None` if it has none.
    pub expires_at: Option<UtcTime>,
    /// Time of its last use, to within a minute.
    pub last_used_at: Option<UtcTime>,
    /// Time of its revocation.
    pub revoked_at: Option<UtcTime>,
}

/// State of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyState {
    /// The key is accepted.
    Active,
    /// The key has expired.
    Expired,
    /// The key was revoked.
    Revoked,
}

impl ApiKeyState {
    /// Returns the name, as sent and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiKey {
    /// Longest name in characters.
    pub const MAX_NAME: usize = 100;
    /// Longest lifetime that can be requested; without one a key does not expire.
    pub const MAX_LIFETIME: Duration = Duration::from_hours(24 * 3653);

    /// Parses a name: 1 to 100 printable characters.
    pub fn parse_name(text: &str) -> Result<String, Fault> {
        let name = text.trim();
        match name.chars().count() {
            0 => Err(Fault::Required),
            _ if text.chars().any(char::is_control) => Err(Fault::InvalidFormat),
            1..=Self::MAX_NAME => Ok(name.to_owned()),
            _ => Err(Fault::TooLong(Length::Characters(Self::MAX_NAME))),
        }
    }

    /// Returns the state at `now`.
    pub fn state(&self, now: UtcTime) -> ApiKeyState {
        if self.revoked_at.is_some() {
            ApiKeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            ApiKeyState::Expired
        } else {
            ApiKeyState::Active
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_stored_by_their_names_in_one_order() {
        let text = Scope::to_text(&[Scope::Revoke, Scope::UsersRead, Scope::Revoke]);
        assert_eq!(text, "users:read revoke");
        assert_eq!(Scope::known(&text), [Scope::UsersRead, Scope::Revoke]);
        assert_eq!(Scope::known("users:read of:tomorrow"), [Scope::UsersRead]);
        assert_eq!(Scope::known(""), []);
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(*scope));
            assert!(scope.meaning().ends_with('.'), "{}", scope.meaning());
        }
    }

    #[test]
    fn a_key_expires_at_its_time_and_a_revoked_one_stays_revoked() {
        let at = UtcTime::from_seconds;
        let mut key = ApiKey {
            id: ApiKeyId::new(at(0)),
            name: "a".to_owned(),
            scopes: Vec::new(),
            created_by: None,
            created_at: at(0),
            expires_at: Some(at(10)),
            last_used_at: None,
            revoked_at: None,
        };
        assert_eq!(key.state(at(9)), ApiKeyState::Active);
        assert_eq!(key.state(at(10)), ApiKeyState::Expired);
        key.revoked_at = Some(at(5));
        assert_eq!(key.state(at(10)), ApiKeyState::Revoked);
        key = ApiKey { expires_at: None, revoked_at: None, ..key };
        assert_eq!(key.state(at(1_000_000)), ApiKeyState::Active);
    }

    #[test]
    fn a_name_is_printable_and_short() {
        assert_eq!(ApiKey::parse_name(" billing "), Ok("billing".to_owned()));
        assert_eq!(ApiKey::parse_name("  "), Err(Fault::Required));
        assert_eq!(ApiKey::parse_name("a\nb"), Err(Fault::InvalidFormat));
        assert_eq!(ApiKey::parse_name("a\n"), Err(Fault::InvalidFormat));
        assert!(ApiKey::parse_name(&"é".repeat(100)).is_ok());
        assert!(ApiKey::parse_name(&"é".repeat(101)).is_err());
    }
}
