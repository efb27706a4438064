//! Claims of access tokens that come from the metadata of accounts (`HALLPASS_CLAIMS`).

use serde_json::{Map, Value};

use super::User;

/// Claims that cannot be mapped: Hallpass sets them, or RFC 7519 and OpenID Connect define them for
/// other purposes, or they are members of responses that contain claims.
const RESERVED: [&str; 45] = [
    "acr",
    "act",
    "active",
    "alg",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "c_hash",
    "client_id",
    "cnf",
    "crit",
    "device_token",
    "email",
    "email_verified",
    "exp",
    "gen",
    "iat",
    "is_staff",
    "is_superuser",
    "iss",
    "jti",
    "jwk",
    "kid",
    "may_act",
    "nbf",
    "nonce",
    "roles",
    "scope",
    "scp",
    "sid",
    "sub",
    "sub_jwk",
    "token",
    "token_type",
    "typ",
    "user_id",
    "username",
    "vot",
    "vtm",
    "zip",
    "events",
    "txn",
    "toe",
];

/// The object that a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Written by staff and services only.
    AppMetadata,
    /// Written by the user.
    Metadata,
}

/// A claim and the member that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    claim: String,
    origin: Origin,
    /// The names of the member and of its parents, the outermost first.
    path: Vec<String>,
}

impl ClaimMapping {
    /// Longest name of a claim in characters.
    const MAX_NAME: usize = 128;

    /// Parses `claim=app_metadata.member`; the member may be nested: `app_metadata.a.b`.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("has `{text}`, which is not of the form claim=app_metadata.member");
        // The name may be a URL with a query.
        let (claim, source) = text.rsplit_once('=').ok_or_else(form)?;
        let (claim, source) = (claim.trim(), source.trim());
        let is_name = (1..=Self::MAX_NAME).contains(&claim.len())
            && claim.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\,".contains(&byte));
        if !is_name {
            return Err(form());
        }
        if RESERVED.contains(&claim) {
            return Err(format!("has the claim `{claim}`, which is reserved"));
        }
        let mut path = source.split('.').map(str::to_owned);
        let origin = match path.next().as_deref() {
            Some("app_metadata") => Origin::AppMetadata,
            Some("metadata") => Origin::Metadata,
            _ => return Err(form()),
        };
        let path: Vec<String> = path.collect();
        if path.is_empty() || path.iter().any(String::is_empty) {
            return Err(form());
        }
        Ok(Self { claim: claim.to_owned(), origin, path })
    }

    /// The name of the claim.
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// Returns whether the user can change the claim.
    pub fn is_of_user(&self) -> bool {
        self.origin == Origin::Metadata
    }

    fn value<'a>(&self, user: &'a User) -> Option<&'a Value> {
        let members = match self.origin {
            Origin::AppMetadata => user.app_metadata.members(),
            Origin::Metadata => user.metadata.members(),
        };
        let (first, rest) = self.path.split_first()?;
        rest.iter().try_fold(members.get(first)?, |value, name| value.get(name))
    }
}

/// Returns the claims of an account, for the members that it has.
pub fn custom_claims<'a>(
    mappings: impl IntoIterator<Item = &'a ClaimMapping>,
    user: &User,
) -> Map<String, Value> {
    let claims = mappings
        .into_iter()
        .filter_map(|mapping| Some((mapping.claim.clone(), mapping.value(user)?.clone())));
    claims.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_a_claim_and_a_member() {
        let mapping =
            ClaimMapping::parse("https://hasura.io/jwt/claims=app_metadata.hasura").unwrap();
        assert_eq!(mapping.claim(), "https://hasura.io/jwt/claims");
        assert_eq!(mapping.path, ["hasura"]);
        assert!(!mapping.is_of_user());
        let nested = ClaimMapping::parse(" theme = metadata.ui.theme ").unwrap();
        assert_eq!((nested.claim(), nested.is_of_user()), ("theme", true));
        assert_eq!(nested.path, ["ui", "theme"]);
        let query = ClaimMapping::parse("https://example.com/?a=b=app_metadata.x").unwrap();
        assert_eq!(query.claim(), "https://example.com/?a=b");
    }

    #[test]
    fn other_forms_and_reserved_names_are_refused() {
        for text in [
            "",
            "plan",
            "plan=",
            "=app_metadata.plan",
            "plan=app_metadata",
            "plan=app_metadata.",
            "plan=app_metadata..x",
            "plan=profile.plan",
            "a b=app_metadata.x",
            "é=app_metadata.x",
        ] {
            let fault = ClaimMapping::parse(text).unwrap_err();
            assert!(fault.contains("not of the form"), "{text}: {fault}");
        }
        for name in ["sub", "is_staff", "roles", "scope", "active", "gen", "amr", "cnf"] {
            let fault = ClaimMapping::parse(&format!("{name}=app_metadata.x")).unwrap_err();
            assert!(fault.contains("reserved"), "{name}: {fault}");
        }
    }
}
