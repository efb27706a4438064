//! The `Authorization` header: scheme and credentials.

use crate::drf::http::parsing::form::lenient_base64;

/// The accepted schemes (`JWT_AUTH_HEADER_PREFIX` of the reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// `JWT <token>`
    Jwt,
    /// `Bearer <token>`. Access tokens of `/v1` have the same scheme, but are other tokens.
    Bearer,
    /// Either.
    Both,
}

impl Schemes {
    /// The `WWW-Authenticate` header: a challenge for each scheme.
    pub const fn challenge(self) -> &'static str {
        match self {
            Self::Jwt => "JWT realm=\"api\"",
            Self::Bearer => "Bearer realm=\"api\"",
            Self::Both => "JWT realm=\"api\", Bearer realm=\"api\"",
        }
    }

    fn contain(self, scheme: &[u8]) -> bool {
        (self != Self::Bearer && scheme.eq_ignore_ascii_case(b"jwt"))
            || (self != Self::Jwt && scheme.eq_ignore_ascii_case(b"bearer"))
    }
}

/// Credentials of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token behind one of the [`Schemes`].
    Token(String),
    /// `Basic <base64 of name:password>`
    Basic {
        /// The part before the first colon.
        username: String,
        /// The rest.
        password: String,
    },
}

/// Parses the header. `None`: it is missing, or has a scheme that is not accepted.
///
/// # Errors
/// The message for a malformed header of an accepted scheme.
pub fn read(
    header: Option<&[u8]>,
    schemes: Schemes,
    takes_basic: bool,
) -> Result<Option<Credentials>, &'static str> {
    let mut words = header
        .unwrap_or_default()
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
        .filter(|word| !word.is_empty());
    let Some(scheme) = words.next() else { return Ok(None) };
    let (second, third) = (words.next(), words.next());
    if takes_basic && scheme.eq_ignore_ascii_case(b"basic") {
        return match (second, third) {
            (None, _) => Err("Invalid basic header. No credentials provided."),
            (Some(pair), None) => basic(pair).map(Some),
            _ => Err("Invalid basic header. Credentials string should not contain spaces."),
        };
    }
    if schemes.contain(scheme) {
        return match (second, third) {
            (None, _) => Err("Invalid Authorization header. No credentials provided."),
            (Some(token), None) => {
                Ok(Some(Credentials::Token(String::from_utf8_lossy(token).into_owned())))
            }
            _ => Err("Invalid Authorization header. Credentials string should not contain spaces."),
        };
    }
    Ok(None)
}

fn basic(pair: &[u8]) -> Result<Credentials, &'static str> {
    let bytes = lenient_base64(pair)
        .ok_or("Invalid basic header. Credentials not correctly base64 encoded.")?;
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| crate::drf::http::parsing::charset::latin1(error.as_bytes()));
    let (username, password) = text.split_once(':').unwrap_or((&text, ""));
    Ok(Credentials::Basic { username: username.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> Option<String> {
        match read(Some(header.as_bytes()), Schemes::Jwt, true) {
            Ok(Some(Credentials::Token(token))) => Some(token),
            _ => None,
        }
    }

    fn error(header: &str) -> &'static str {
        read(Some(header.as_bytes()), Schemes::Jwt, true).err().unwrap()
    }

    #[test]
    fn a_token_is_found_in_any_letter_case_and_spacing() {
        for header in ["JWT a.b.c", "jwt \t a.b.c ", "  jWt\ta.b.c"] {
            assert_eq!(token(header).as_deref(), Some("a.b.c"), "{header}");
        }
    }

    #[test]
    fn other_schemes_count_as_nothing() {
        for header in [None, Some(""), Some("  "), Some("Bearer x"), Some("a.b.c"), Some("JWTa b")]
        {
            assert!(
                matches!(read(header.map(str::as_bytes), Schemes::Jwt, true), Ok(None)),
                "{header:?}"
            );
        }
        assert!(matches!(read(Some(b"\xe9\xe9 x"), Schemes::Jwt, true), Ok(None)));
        assert!(matches!(read(Some(b"Basic eDp5"), Schemes::Jwt, false), Ok(None)));
        assert!(matches!(read(Some(b"Basic"), Schemes::Jwt, false), Ok(None)));
    }

    #[test]
    fn the_schemes_are_those_of_the_setting() {
        for (schemes, jwt, bearer, challenge) in [
            (Schemes::Jwt, true, false, r#"JWT realm="api""#),
            (Schemes::Bearer, false, true, r#"Bearer realm="api""#),
            (Schemes::Both, true, true, r#"JWT realm="api", Bearer realm="api""#),
        ] {
            let is_read = |header: &[u8]| matches!(read(Some(header), schemes, true), Ok(Some(_)));
            assert_eq!((is_read(b"jwt a.b.c"), is_read(b"BEARER a.b.c")), (jwt, bearer));
            assert_eq!(schemes.challenge(), challenge);
        }
    }

    #[test]
    fn a_malformed_header_is_refused_with_the_cause() {
        for (header, text) in [
            ("JWT", "Invalid Authorization header. No credentials provided."),
            ("JWT  ", "Invalid Authorization header. No credentials provided."),
            (
                "JWT a b",
                "Invalid Authorization header. Credentials string should not contain spaces.",
            ),
            ("basic", "Invalid basic header. No credentials provided."),
            ("Basic a b c", "Invalid basic header. Credentials string should not contain spaces."),
            ("Basic YWI", "Invalid basic header. Credentials not correctly base64 encoded."),
        ] {
            assert_eq!(error(header), text);
        }
    }

    #[test]
    fn a_pair_is_split_at_the_first_colon_and_not_trimmed() {
        for (header, name, secret) in [
            ("Basic YWRtaW46YTpi", "admin", "a:b"),
            ("BASIC IGE6IGIg", " a", " b "),
            ("Basic YWRtaW4=", "admin", ""),
            ("Basic 6Trp", "é", "é"),
            ("Basic !", "", ""),
        ] {
            let Ok(Some(Credentials::Basic { username, password })) =
                read(Some(header.as_bytes()), Schemes::Jwt, true)
            else {
                panic!("{header}")
            };
            assert_eq!((username.as_str(), password.as_str()), (name, secret));
        }
    }
}
