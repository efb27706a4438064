//! Faults of one field of a request.

use std::borrow::Cow;

/// A bound on the length of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Unicode code points.
    Characters(usize),
    /// Bytes in UTF-8.
    Bytes(usize),
    /// Items of an array.
    Items(usize),
}

impl Length {
    /// Returns the number.
    pub const fn count(self) -> usize {
        match self {
            Self::Characters(count) | Self::Bytes(count) | Self::Items(count) => count,
        }
    }

    fn in_words(self) -> String {
        let (count, unit) = match self {
            Self::Characters(count) => (count, "character"),
            Self::Bytes(count) => (count, "byte"),
            Self::Items(count) => (count, "item"),
        };
        format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// A fault of one value. The code is part of the API and stable; the message is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The field is missing or null.
    Required,
    /// No such field exists here.
    UnknownField,
    /// The value has another JSON type than the field requires.
    WrongType,
    /// Shorter than this.
    TooShort(Length),
    /// Longer than this.
    TooLong(Length),
    /// A password on the blocklist, or a pattern.
    TooCommon,
    /// A breached password.
    Breached,
    /// A password made of the user's own address or name.
    TooSimilar,
    /// Not an e-mail address that can receive mail.
    InvalidEmail,
    /// A user name with characters that are not allowed.
    InvalidUsername,
    /// Not a BCP 47 language tag.
    InvalidLocale,
    /// Not in the format of the field.
    InvalidFormat,
    /// A date that is past, or of an account that is not disabled. It has the code of
    /// [`Self::InvalidFormat`].
    DateNotAhead,
    /// Not the name of a role. It has the code of [`Self::InvalidFormat`].
    InvalidRole,
    /// An e-mail address of a domain that is not permitted.
    DomainNotAllowed,
    /// The access tokens of the account would become longer than services accept.
    TokenTooLarge,
}

impl Fault {
    /// Every fault, for the OpenAPI document.
    pub const ALL: [Self; 14] = [
        Self::Required,
        Self::UnknownField,
        Self::WrongType,
        Self::TooShort(Length::Characters(1)),
        Self::TooLong(Length::Characters(1)),
        Self::TooCommon,
        Self::Breached,
        Self::TooSimilar,
        Self::InvalidEmail,
        Self::InvalidUsername,
        Self::InvalidLocale,
        Self::InvalidFormat,
        Self::DomainNotAllowed,
        Self::TokenTooLarge,
    ];

    /// The stable code that clients switch on.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::TooCommon => "too_common",
            Self::Breached => "breached",
            Self::TooSimilar => "too_similar",
            Self::InvalidEmail => "invalid_email",
            Self::InvalidUsername => "invalid_username",
            Self::InvalidLocale => "invalid_locale",
            Self::InvalidFormat | Self::DateNotAhead | Self::InvalidRole => "invalid_format",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::TokenTooLarge => "token_too_large",
        }
    }

    /// Returns the shortest length, if the value is shorter.
    pub fn min(self) -> Option<usize> {
        if let Self::TooShort(least) = self { Some(least.count()) } else { None }
    }

    /// Returns the longest length, if the value is longer.
    pub fn max(self) -> Option<usize> {
        if let Self::TooLong(most) = self { Some(most.count()) } else { None }
    }

    /// Returns a sentence for people, which never repeats the value.
    pub fn message(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::TooShort(least) => return format!("Use at least {}.", least.in_words()).into(),
            Self::TooLong(most) => return format!("Use at most {}.", most.in_words()).into(),
            Self::Required => "This field is required.",
            Self::UnknownField => "There is no such field here.",
            Self::WrongType => "The value has the wrong JSON type.",
            Self::TooCommon => "This password is among those that attackers try first.",
            Self::Breached => "This password has appeared in a data breach.",
            Self::TooSimilar => "The password contains your own address or name.",
            Self::InvalidEmail => "This is not an e-mail address that mail can be sent to.",
            Self::InvalidUsername => "Use 1 to 150 letters, digits and . + - _ only.",
            Self::InvalidLocale => "Use a language tag such as en or ko-KR.",
            Self::InvalidFormat => "The value does not have the expected form.",
            Self::DateNotAhead => {
                "Use a time in the future, for an account that is disabled or becomes so."
            }
            Self::InvalidRole => "A role has letters, digits and . _ : / * - only.",
            Self::DomainNotAllowed => "Addresses of this domain are not accepted here.",
            Self::TokenTooLarge => "Access tokens of the account would be longer than 4096 bytes.",
        })
    }
}
