//! Credentials of a service at the OAuth endpoints: its API key as the client secret (RFC 6749
//! section 2.3.1) in a Basic header or in the form, or as a Bearer token.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::PlainToken;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::bearer::authorization;

/// The challenge to a refused client secret (RFC 6749 section 5.2).
const BASIC: &str = "Basic realm=\"hallpass\"";

/// The explanation of missing credentials.
const REQUIRED: &str = "An API key is required: as the password of HTTP Basic, as client_secret of the form, or as a Bearer token.";

/// The API key of a request, and the form it was sent in.
pub struct Presented {
    /// The API key.
    pub key: PlainToken,
    /// The form of the credentials, which selects the challenge of an error.
    pub scheme: Scheme,
}

/// The form of the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A Bearer token (RFC 6750).
    Bearer,
    /// A client secret, in a Basic header or in the form.
    ClientSecret,
}

impl Scheme {
    /// Returns the error with a challenge of the scheme that the client used.
    pub fn refused(self, error: ApiError) -> ApiError {
        match self {
            Self::Bearer => error,
            Self::ClientSecret => error.with_challenges(&[BASIC]),
        }
    }

    const fn with(self, key: PlainToken) -> Presented {
        Presented { key, scheme: self }
    }
}

/// Returns the API key of a request. The client id is not evaluated: a key identifies its service.
///
/// # Errors
/// [`Code::MalformedRequest`] for two keys, as RFC 6749 section 2.3 requires.
pub fn presented(
    request: &HttpRequest,
    client_secret: Option<PlainToken>,
) -> Result<Presented, ApiError> {
    match (request.headers().contains_key(AUTHORIZATION), client_secret) {
        (true, Some(_)) => Err(Code::MalformedRequest.into()),
        (true, None) => in_header(request),
        (false, Some(secret)) => Ok(Scheme::ClientSecret.with(secret)),
        (false, None) => Err(required()),
    }
}

fn in_header(request: &HttpRequest) -> Result<Presented, ApiError> {
    let (scheme, credentials) = authorization(request).map_err(|_| required())?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Scheme::Bearer.with(PlainToken::presented(credentials)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(required());
    }
    let unreadable = || Scheme::ClientSecret.refused(Code::TokenInvalid.into());
    let secret = password_of_basic(credentials).ok_or_else(unreadable)?;
    Ok(Scheme::ClientSecret.with(PlainToken::presented(secret)))
}

/// Returns the error for missing credentials, with a challenge for each scheme.
fn required() -> ApiError {
    let error = ApiError::from(Code::AuthenticationRequired).with_detail(REQUIRED);
    error.with_challenges(&[BASIC, "Bearer"])
}

/// Returns the password of Basic credentials, which are form-encoded before they are
/// base64-encoded.
fn password_of_basic(credentials: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    let password = password.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&password).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded() {
        let read = |text: &str| password_of_basic(&STANDARD.encode(text));
        for (text, password) in [
            ("billing:hpk_a-b_c", "hpk_a-b_c"),
            ("billing:hpk%5Fa%2Db%5Fc", "hpk_a-b_c"),
            (":a", "a"),
            ("a:b:c", "b:c"),
            ("a:b+c", "b c"),
        ] {
            assert_eq!(read(text).as_deref(), Some(password), "{text}");
        }
        assert_eq!(read("hpk_a"), None);
        assert_eq!(read("a:%ff"), None);
        assert_eq!(password_of_basic("%"), None);
    }
}
