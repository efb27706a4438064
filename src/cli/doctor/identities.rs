//! The identities of `doctor`: those that no configured provider logs in.

use super::{Bad, Doubtful, Finding, Good, Site, open};
use crate::social::Providers;
use crate::store::{self, Conn, identities};

/// Most issuers that are listed.
const ISSUERS_SHOWN: usize = 10;

/// Counts the identities of issuers without a provider. After a change of settings, their users can
/// log in with a password only, which some of them do not have.
pub(super) fn check(site: &Site) -> Finding {
    if !site.is_up_to_date() {
        return Doubtful("not looked at: see the database".to_owned());
    }
    let providers = Providers::new(&site.config.social);
    match open(&site.config).and_then(|db| db.read(|conn| count_unusable(conn, &providers))) {
        Ok(unusable) if unusable.is_empty() => Good("each has a provider".to_owned()),
        Ok(unusable) => Doubtful(described(&unusable)),
        Err(error) => Bad(format!("cannot be counted: {error}")),
    }
}

/// Returns the issuers of identities that have no provider, with the number of their identities.
fn count_unusable(conn: &mut Conn, providers: &Providers) -> store::Result<Vec<(String, i64)>> {
    let mut unusable = Vec::new();
    let mut last = String::new();
    while let Some(issuer) = identities::find_issuer_after(conn, &last)? {
        if !providers.have_identities_of(&issuer) {
            let count = identities::count_of_issuer(conn, &issuer)?;
            unusable.push((issuer.clone(), count));
        }
        last = issuer;
    }
    Ok(unusable)
}

fn described(unusable: &[(String, i64)]) -> String {
    let shown = unusable.iter().take(ISSUERS_SHOWN);
    let mut shown: Vec<String> =
        shown.map(|(issuer, count)| format!("{count} of {issuer}")).collect();
    if let Some(more) = unusable.len().checked_sub(ISSUERS_SHOWN).filter(|more| *more > 0) {
        shown.push(format!("those of {more} more issuers"));
    }
    format!(
        "{} have no provider: their users cannot log in with them until it is configured again \
         (HALLPASS_SOCIAL_...)",
        shown.join(", ")
    )
}
