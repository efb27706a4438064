//! Errors of providers.

use crate::outgoing::OutgoingError;

/// Meaning of an error for the client of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderErrorKind {
    /// The provider does not work at the moment, or the service is not set up for it: try later.
    Unavailable,
    /// The code or the id token is not valid: start again.
    Refused,
}

/// A provider did not authenticate the user.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A call failed.
    #[error("{endpoint}: {source}")]
    Call {
        /// The kind of endpoint.
        endpoint: &'static str,
        /// The cause.
        source: OutgoingError,
    },
    /// A response with an unexpected status.
    #[error("{endpoint}: status {status}")]
    Status {
        /// The kind of endpoint.
        endpoint: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// A response that is not what the standard or the provider's documentation says.
    #[error("{endpoint}: {fault}")]
    Malformed {
        /// The kind of endpoint.
        endpoint: &'static str,
        /// Explanation for the operator.
        fault: String,
    },
    /// A call failed a moment ago and is not repeated yet.
    #[error("{endpoint}: failed a moment ago, not asked again yet")]
    Waiting {
        /// The kind of endpoint.
        endpoint: &'static str,
    },
    /// Too many calls to this provider are in progress.
    #[error("too many calls are in progress")]
    Busy,
    /// The provider does not accept the settings of the client, such as its secret.
    #[error("the provider refuses the client: {0}")]
    Client(String),
    /// The client secret cannot be made from its key.
    #[error("the private key cannot sign: {0}")]
    Key(#[source] jsonwebtoken::errors::Error),
    /// The provider does not accept the code.
    #[error("the provider refuses the code: {0}")]
    Code(String),
    /// The `iss` parameter of the response is another provider's or missing (RFC 9207).
    #[error("the response is not from this issuer")]
    ResponseIssuer,
    /// The id token is not valid.
    #[error("id token: {0}")]
    IdToken(#[from] IdTokenError),
    /// The profile belongs to another user than the id token, or to none.
    #[error("the subject of the profile is missing, invalid or not that of the id token")]
    Subject,
}

impl ProviderError {
    /// Returns what the error means for the client of the service.
    pub fn kind(&self) -> ProviderErrorKind {
        match self {
            Self::Call { .. }
            | Self::Status { .. }
            | Self::Malformed { .. }
            | Self::Waiting { .. }
            | Self::Busy
            | Self::Client(_)
            | Self::Key(_) => ProviderErrorKind::Unavailable,
            Self::Code(_) | Self::ResponseIssuer | Self::IdToken(_) | Self::Subject => {
                ProviderErrorKind::Refused
            }
        }
    }

    /// Returns the error for a body that cannot be read. The text of the parser quotes values, such as
    /// a token or an e-mail address, so it is left out.
    pub(super) fn unreadable(endpoint: &'static str, error: &serde_json::Error) -> Self {
        let what = if error.is_data() { "JSON of another form" } else { "not JSON" };
        let (line, column) = (error.line(), error.column());
        Self::malformed(endpoint, format!("{what} (line {line}, column {column})"))
    }

    pub(super) fn malformed(endpoint: &'static str, fault: impl Into<String>) -> Self {
        Self::Malformed { endpoint, fault: fault.into() }
    }
}

/// The first rule that an id token breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// The response has none.
    #[error("missing")]
    Missing,
    /// Not three parts of base64url with JSON objects, or claims are missing or have the wrong
    /// type.
    #[error("malformed")]
    Malformed,
    /// Another algorithm than RS256, ES256 or EdDSA.
    #[error("algorithm not accepted")]
    Algorithm,
    /// A token of another kind, or a critical header field.
    #[error("header not accepted")]
    Header,
    /// No key of the provider has this `kid` and the type for this algorithm.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("wrong signature")]
    Signature,
    /// Another issuer.
    #[error("wrong issuer")]
    Issuer,
    /// Not for this client, or also for others.
    #[error("wrong audience")]
    Audience,
    /// Issued to another client.
    #[error("wrong authorized party")]
    AuthorizedParty,
    /// Past its expiry.
    #[error("expired")]
    Expired,
    /// Issued in the future.
    #[error("not valid yet")]
    NotYetValid,
    /// Not the `nonce` of this flow, or none.
    #[error("wrong nonce")]
    Nonce,
    /// A subject that is empty, too long or has control characters.
    #[error("invalid subject")]
    Subject,
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Form {
        #[serde(rename = "sub")]
        _sub: String,
    }

    #[test]
    fn no_text_of_a_body_that_cannot_be_read_is_in_its_error() {
        for body in [r#""hidden""#, r#"{"sub": {"hidden": 1}}"#, r#"["hidden", 2]"#, "hidden", "{"]
        {
            let error = serde_json::from_str::<Form>(body).unwrap_err();
            let text = ProviderError::unreadable("token endpoint", &error).to_string();
            assert!(text.contains("line 1, column") && !text.contains("hidden"), "{text}");
        }
    }
}
