//! Forms of values in the published document. The parsers in `domain` decide; these tell clients.
#![expect(dead_code, reason = "these types stand for values in the document only")]

use utoipa::ToSchema;

/// An e-mail address: a dot-atom, `@`, a domain name of two labels or more.
#[derive(ToSchema)]
#[schema(
    format = "email",
    max_length = 254,
    pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$",
    example = "mina@example.com"
)]
pub struct EmailAddress(String);

/// A name to log in with: letters of any script, digits and `.+-_`.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 150,
    pattern = r"^[^\x00-\x2a\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xa9]+$",
    example = "mina"
)]
pub struct ChosenUsername(String);

/// A BCP 47 language tag.
#[derive(ToSchema)]
#[schema(max_length = 35, pattern = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", example = "ko-KR")]
pub struct LocaleTag(String);

/// A new password; see `GET /v1/password-policy`.
#[derive(ToSchema)]
#[schema(format = "password", min_length = 8, max_length = 256, example = "plum tree at dusk")]
pub struct NewPassword(String);
