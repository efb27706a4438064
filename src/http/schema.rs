//! Schemas of values in the OpenAPI document. They inform clients; the parsers in `domain` decide.
#![expect(dead_code, reason = "these types stand for values in the document only")]

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// An e-mail address: a dot-atom, `@`, a domain name of two labels or more.
#[derive(ToSchema)]
#[schema(
    format = "email",
    max_length = 254,
    pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$",
    example = "mina@example.com"
)]
pub struct EmailAddress(String);

/// A user name: letters of many scripts, digits and `.+-_`.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 150,
    pattern = r"^[0-9A-Za-z.+_\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u02C1\u038E-\u03A1\u03A3-\u03F5\u0400-\u0481\u048A-\u052F\u0531-\u0556\u0561-\u0587\u05D0-\u05EA\u0620-\u064A\u0904-\u0939\u0E01-\u0E30\u10D0-\u10FA\u1E00-\u1F15\u3041-\u3096\u30A1-\u30FA\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3-]+$",
    example = "mina"
)]
pub struct ChosenUsername(String);

/// A BCP 47 language tag.
#[derive(ToSchema)]
#[schema(max_length = 35, pattern = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", example = "ko-KR")]
pub struct LocaleTag(String);

/// A role of an account.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_.:/*-]+$", example = "editor")]
pub struct RoleName(String);

/// A new password; see `GET /v1/password-policy`.
#[derive(ToSchema)]
#[schema(format = "password", min_length = 8, max_length = 256, example = "plum tree at dusk")]
pub struct NewPassword(String);

/// Six digits, with or without hyphens and spaces between them. Decimal digits of other scripts are
/// accepted too, more of them than this pattern has; input that cannot be a code is a 422 and
/// counts as no attempt.
#[derive(ToSchema)]
#[schema(
    pattern = r"^[ \u00A0\u3000-]*([0-9\u0660-\u0669\u06F0-\u06F9\u0966-\u096F\uFF10-\uFF19][ \u00A0\u3000-]*){6}$",
    example = "123456"
)]
pub struct MailCode(String);

/// Returns the schema of a text with known values, to which more may be added. It is not an `enum`:
/// generated clients would fail at the first new one.
pub fn open_words(
    words: impl IntoIterator<Item = &'static str>,
    description: &str,
) -> RefOr<Schema> {
    let words: Vec<&str> = words.into_iter().collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .extensions(Some(ExtensionsBuilder::new().add("x-known-values", words).build()))
        .into()
}

/// Claims of an access token.
#[derive(ToSchema)]
pub struct AccessTokenClaims {
    /// Issuer: the URL of the service.
    #[schema(example = "http://127.0.0.1:8000")]
    iss: String,
    /// Audience: a string, or an array of strings if `HALLPASS_AUDIENCE` names several.
    #[schema(value_type = Value, example = "http://127.0.0.1:8000")]
    aud: String,
    /// The user id as a string.
    #[schema(example = "7")]
    sub: String,
    /// The client that it was issued to (`HALLPASS_CLIENT_ID`).
    #[schema(example = "hallpass")]
    client_id: String,
    /// Time of issue, in seconds since the epoch.
    #[schema(example = 1_800_000_000)]
    iat: i64,
    /// Expiry, in seconds since the epoch.
    #[schema(example = 1_800_000_300)]
    exp: i64,
    /// The id of the token.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a11")]
    jti: String,
    /// The id of the session.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    sid: String,
    /// The user id.
    #[schema(example = 7)]
    user_id: i64,
    /// The user name.
    #[schema(example = "mina")]
    username: String,
    /// The e-mail address, empty without one.
    #[schema(example = "mina@example.com")]
    email: String,
    /// True if the e-mail address is verified.
    #[schema(example = true)]
    email_verified: bool,
    /// True for staff, who may manage other accounts.
    #[schema(example = false)]
    is_staff: bool,
    /// The roles of the account. Missing without any.
    #[schema(required = false, nullable = false, example = json!(["editor"]))]
    roles: Option<Vec<String>>,
    /// The roles as one text (RFC 8693 section 4.2). Missing without any.
    #[schema(required = false, nullable = false, example = "editor")]
    scope: Option<String>,
    /// Authentication methods of the log-in (RFC 8176).
    #[schema(example = json!(["pwd"]))]
    amr: Vec<String>,
    /// Time of the log-in, in seconds since the epoch.
    #[schema(example = 1_800_000_000)]
    auth_time: i64,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;
    use crate::domain::user::username::LETTERS;

    #[test]
    fn the_pattern_of_names_is_the_rule_of_names() {
        let escape = |letter: char| format!("\\u{:04X}", letter as u32);
        let letters = LETTERS.map(|(first, last)| escape(first) + "-" + &escape(last)).concat();
        let schema = serde_json::to_value(ChosenUsername::schema()).unwrap();
        assert_eq!(schema["pattern"], format!("^[0-9A-Za-z.+_{letters}-]+$"));
    }
}
