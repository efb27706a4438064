//! What can be wrong with one field of a request.

/// A fault of one value. The code is part of the API and stable; the message is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The field is missing or null.
    Required,
    /// No such field exists here.
    UnknownField,
    /// The value has another JSON type than the field.
    WrongType,
    /// Fewer characters than allowed.
    TooShort,
    /// More characters or bytes than allowed.
    TooLong,
    /// A password that attackers try first.
    TooCommon,
    /// A password that stands in a collection of breached ones.
    Breached,
    /// A password made of the person's own address or name.
    TooSimilar,
    /// Not an e-mail address that mail can be sent to.
    InvalidEmail,
    /// A username with characters that are not allowed.
    InvalidUsername,
    /// Not a BCP 47 language tag.
    InvalidLocale,
    /// Not of the form this field has.
    InvalidFormat,
}

impl Fault {
    /// Every fault, for the published contract.
    pub const ALL: [Self; 12] = [
        Self::Required,
        Self::UnknownField,
        Self::WrongType,
        Self::TooShort,
        Self::TooLong,
        Self::TooCommon,
        Self::Breached,
        Self::TooSimilar,
        Self::InvalidEmail,
        Self::InvalidUsername,
        Self::InvalidLocale,
        Self::InvalidFormat,
    ];

    /// The stable code that clients switch on.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::TooCommon => "too_common",
            Self::Breached => "breached",
            Self::TooSimilar => "too_similar",
            Self::InvalidEmail => "invalid_email",
            Self::InvalidUsername => "invalid_username",
            Self::InvalidLocale => "invalid_locale",
            Self::InvalidFormat => "invalid_format",
        }
    }

    /// A sentence for people; it never repeats the value.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Required => "This field is required.",
            Self::UnknownField => "There is no such field here.",
            Self::WrongType => "The value has the wrong JSON type.",
            Self::TooShort => "The value is too short.",
            Self::TooLong => "The value is too long.",
            Self::TooCommon => "This password is among those that attackers try first.",
            Self::Breached => "This password is known from a breach of some service.",
            Self::TooSimilar => "The password contains your own address or name.",
            Self::InvalidEmail => "This is not an e-mail address that mail can be sent to.",
            Self::InvalidUsername => "Use 1 to 150 letters, digits and . + - _ only.",
            Self::InvalidLocale => "Use a language tag such as en or ko-KR.",
            Self::InvalidFormat => "The value does not have the expected form.",
        }
    }
}
