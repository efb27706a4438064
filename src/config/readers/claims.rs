//! Settings of the claims of access tokens.

use std::collections::HashSet;

use crate::config::source::Source;
use crate::domain::ClaimMapping;

/// The most audiences: each of them is in every token.
const MAX_AUDIENCES: usize = 8;
/// The most custom claims.
const MAX_CLAIMS: usize = 16;

/// Reads the `client_id` of access tokens: printable ASCII (RFC 6749 appendix A.1).
pub fn read_client_id(s: &mut Source) -> String {
    s.parsed("HALLPASS_CLIENT_ID", "hallpass".to_owned(), |text| {
        let is_valid = text.len() <= 255 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let advice = || "must be 1 to 255 printable ASCII characters".to_owned();
        is_valid.then(|| text.to_owned()).ok_or_else(advice)
    })
}

/// Reads the audiences of access tokens (RFC 7519 section 4.1.3), separated by commas.
pub fn read_audience(s: &mut Source) -> Vec<String> {
    s.parsed("HALLPASS_AUDIENCE", Vec::new(), |text| {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let is_name = |name: &String| {
            (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let different: HashSet<&String> = names.iter().collect();
        if names.len() <= MAX_AUDIENCES
            && different.len() == names.len()
            && names.iter().all(is_name)
        {
            return Ok(names);
        }
        Err(format!(
            "must be 1 to {MAX_AUDIENCES} different names without spaces, separated by commas: \
             https://api.example.com, reports"
        ))
    })
}

/// Reads claims and the members that they come from, separated by commas.
pub fn read_custom_claims(s: &mut Source) -> Vec<ClaimMapping> {
    s.parsed("HALLPASS_CLAIMS", Vec::new(), |text| {
        let mappings: Vec<ClaimMapping> =
            text.split(',').map(ClaimMapping::parse).collect::<Result<_, String>>()?;
        let mut claims = HashSet::new();
        if let Some(twice) = mappings.iter().find(|mapping| !claims.insert(mapping.claim())) {
            return Err(format!("has the claim `{}` twice", twice.claim()));
        }
        if mappings.len() > MAX_CLAIMS {
            return Err(format!("must have at most {MAX_CLAIMS} claims"));
        }
        Ok(mappings)
    })
}
