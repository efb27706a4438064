//! The metadata of a provider (OpenID Connect Discovery 1.0, RFC 8414).

use serde::Deserialize;
use url::Url;

use super::{IssuerName, ProviderError};
use crate::outgoing::Targets;

/// The name of the metadata in errors.
pub(super) const METADATA: &str = "metadata";
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Metadata of the provider, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// True if responses carry `iss` (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Returns the URL of the metadata.
    pub(super) fn url(issuer: &IssuerName) -> String {
        format!("{}{WELL_KNOWN}", issuer.discovery().trim_end_matches('/'))
    }

    /// Reads metadata, which must be those of `issuer` (section 4.3) and have safe URLs.
    pub(super) fn read(
        body: &[u8],
        issuer: &IssuerName,
        targets: Targets,
    ) -> Result<Self, ProviderError> {
        let malformed = |fault: String| ProviderError::malformed(METADATA, fault);
        let metadata: Self =
            serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        if !issuer.is_advertised_as(&metadata.issuer) {
            return Err(malformed(format!(
                "the issuer is {:?} instead of {:?}",
                metadata.issuer,
                issuer.advertised()
            )));
        }
        let unsafe_url = metadata.endpoints().find(|url| !is_endpoint(url, targets));
        if let Some(url) = unsafe_url {
            return Err(malformed(format!("{url:?} is not an https URL")));
        }
        Ok(metadata)
    }

    fn endpoints(&self) -> impl Iterator<Item = &String> {
        [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri]
            .into_iter()
            .chain(&self.userinfo_endpoint)
    }

    /// Returns whether the client secret goes into the `Authorization` header, the default of
    /// `client_secret_basic`, because the body is not announced.
    pub(super) fn uses_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        methods.is_none_or(|all| !all.iter().any(|it| it == "client_secret_post"))
    }

    /// Returns whether a code challenge is sent: always, except to a provider that announces
    /// methods without S256. One that announces nothing ignores the parameters (RFC 6749 section
    /// 3.1).
    pub(super) fn takes_s256(&self) -> bool {
        let methods = self.code_challenge_methods_supported.as_deref();
        methods.is_none_or(|all| all.iter().any(|it| it == "S256"))
    }

    /// Returns what an operator should know about the provider.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.takes_s256() {
            remarks.push("does not support PKCE with S256".to_owned());
        }
        let signs = self.id_token_signing_alg_values_supported.as_deref();
        let accepted = ["RS256", "ES256", "EdDSA"];
        if signs.is_some_and(|all| !all.iter().any(|it| accepted.contains(&it.as_str()))) {
            remarks.push("signs id tokens with none of RS256, ES256 and EdDSA".to_owned());
        }
        remarks
    }
}

/// Returns whether `text` is a URL that requests may go to: https, or http to [`Targets::Any`];
/// without credentials and fragment.
pub fn is_endpoint(text: &str, targets: Targets) -> bool {
    Url::parse(text).is_ok_and(|url| {
        (url.scheme() == "https" || (targets == Targets::Any && url.scheme() == "http"))
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(issuer: &str, token_endpoint: &str) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": "https://op.example/auth",
            "token_endpoint": token_endpoint,
            "jwks_uri": "https://op.example/keys",
        }))
        .unwrap()
    }

    fn read(body: &[u8]) -> Result<Metadata, ProviderError> {
        Metadata::read(body, &IssuerName::Fixed("https://op.example".to_owned()), Targets::Public)
    }

    #[test]
    fn metadata_are_those_of_the_issuer_and_lead_to_https() {
        let good = read(&document("https://op.example", "https://op.example/token")).unwrap();
        assert!(good.uses_basic() && good.takes_s256());
        for (issuer, token) in [
            ("https://op.example/", "https://op.example/token"),
            ("https://other.example", "https://op.example/token"),
            ("https://op.example", "http://op.example/token"),
            ("https://op.example", "file:///etc/passwd"),
            ("https://op.example", "https://user@op.example/token"),
            ("https://op.example", "/token"),
        ] {
            assert!(read(&document(issuer, token)).is_err(), "{issuer} {token}");
        }
        assert!(read(b"{}").is_err());
        assert!(read(b"<html>").is_err());
    }

    #[test]
    fn the_well_known_path_follows_the_issuer_with_its_path() {
        for (issuer, url) in [
            ("https://op.example", "https://op.example/.well-known/openid-configuration"),
            ("https://op.example/", "https://op.example/.well-known/openid-configuration"),
            ("https://op.example/a", "https://op.example/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(Metadata::url(&IssuerName::Fixed(issuer.to_owned())), url);
        }
    }
}
