//! Names of settings: recognition, misspellings, renamed ones.

use strsim::osa_distance;

use super::settings::{RENAMED, is_provider_name, settings};

/// Returns whether that is the name of a setting, or of the file that holds a secret one.
pub(super) fn is_setting(name: &str) -> bool {
    settings().any(|setting| {
        setting.is_named(name)
            || (setting.secret
                && name.strip_suffix("_FILE").is_some_and(|name| setting.is_named(name)))
    })
}

const PREFIX: &str = "HALLPASS";
/// Length of the shortest name, without the prefix, for which another one may be meant.
const SHORTEST: usize = 3;

/// Returns whether a name that is no setting resembles one: it begins with something like
/// `HALLPASS_`, or differs by a letter or two, or by the case, from a setting without that prefix.
pub(super) fn resembles_a_setting(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let prefix = name.split_once('_').map(|(prefix, _)| osa_distance(prefix, PREFIX));
    let mut others = settings().filter(|it| !it.name.starts_with(PREFIX));
    let is_other = others.any(|it| osa_distance(&name, it.name) <= 2);
    (prefix.is_some_and(|distance| distance <= 2) || is_other) && closest(&name).is_some()
}

/// Returns the advice for a name that is no setting, with the setting that it resembles.
pub(super) fn no_setting(name: &str) -> String {
    match closest(name) {
        Some(meant) => format!("is not a setting (did you mean {meant}?)"),
        None => "is not a setting".to_owned(),
    }
}

/// Returns the setting whose name differs from `name` by a few letters, without regard to the
/// prefix: one in four, and one of a short name.
pub(super) fn closest(name: &str) -> Option<String> {
    let without_prefix = |name: &str| match name.split_once('_') {
        Some((prefix, rest)) if osa_distance(prefix, PREFIX) <= 2 => rest.to_owned(),
        _ => name.to_owned(),
    };
    let given = without_prefix(&name.to_ascii_uppercase());
    let files = settings().filter(|it| it.secret).map(|it| format!("{}_FILE", it.name));
    let names = settings().map(|it| it.name.to_owned()).chain(files);
    let distances = names.flat_map(|known| {
        // The part that the operator chose may be anywhere, so the rest has to be nearly the same.
        let (most, candidates) = match known.split_once('<') {
            None => ((given.len() / 4).max(usize::from(given.len() >= SHORTEST)), vec![known]),
            Some(_) => (2, with_parts_of(&given, &known)),
        };
        let distances = candidates
            .into_iter()
            .map(|candidate| (osa_distance(&given, &without_prefix(&candidate)), candidate));
        distances.filter(|(distance, _)| *distance <= most).collect::<Vec<_>>()
    });
    distances.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// Returns the names of a setting with a placeholder (`HALLPASS_SOCIAL_OIDC_<NAME>_ISSUER`), with each
/// part of `given` in its place.
fn with_parts_of(given: &str, setting: &str) -> Vec<String> {
    let Some((before, rest)) = setting.split_once('<') else { return Vec::new() };
    let after = rest.split_once('>').map_or("", |(_, after)| after);
    let words: Vec<&str> = given.split('_').collect();
    let starts = 0..words.len();
    let parts = starts.flat_map(|start| {
        (start + 1..=words.len()).map({
            let words = &words;
            move |end| words[start..end].join("_")
        })
    });
    let parts = parts.filter(|part| is_provider_name(part));
    parts.map(|part| format!("{before}{part}{after}")).collect()
}

/// Returns the new name of a setting that was renamed.
pub(super) fn new_name(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_answered_with_the_setting_that_was_meant() {
        for (name, meant) in [
            ("HALLPASS_BCRYPT_COTS", Some("HALLPASS_BCRYPT_COST")),
            ("HALLPASS_CORS_ORIGIN", Some("HALLPASS_CORS_ORIGINS")),
            ("HALLPASS_SMTP_URI", Some("HALLPASS_SMTP_URL")),
            ("HALLPASS_SECRETS_FILE", Some("HALLPASS_SECRET_FILE")),
            ("HALLPASS_DATABASE_URL", Some("DATABASE_URL")),
            ("HALPASS_BIND", Some("HALLPASS_BIND")),
            ("DATABSE_URL", Some("DATABASE_URL")),
            ("DATABASE_URI", Some("DATABASE_URL")),
            ("hallpass_bind", Some("HALLPASS_BIND")),
            ("HALLPASS_LIMIT_NETWROK", Some("HALLPASS_LIMIT_NETWORK")),
            ("HALLPASS_BND", Some("HALLPASS_BIND")),
            ("HALLPASS_BIN", Some("HALLPASS_BIND")),
            ("HALLPASS_EVN", Some("HALLPASS_ENV")),
            ("HALLPASS_LGO", Some("HALLPASS_LOG")),
            ("HALLPASS_SOCIAL_OIDC_CO_ISUER", Some("HALLPASS_SOCIAL_OIDC_CO_ISSUER")),
            ("HALLPASS_SOCIAL_OIDC_MY_CO_CLIENTID", Some("HALLPASS_SOCIAL_OIDC_MY_CO_CLIENT_ID")),
            ("HALLPASS_SOCAIL_OIDC_CO_ISSUER", Some("HALLPASS_SOCIAL_OIDC_CO_ISSUER")),
            ("HALLPASS_SOCIAL_GOOGLE_SCOPE", Some("HALLPASS_SOCIAL_GOOGLE_SCOPES")),
            (
                "HALLPASS_SOCIAL_OIDC_CO_CLIENT_SECRET_FLIE",
                Some("HALLPASS_SOCIAL_OIDC_CO_CLIENT_SECRET_FILE"),
            ),
            // What orchestrators add.
            ("HALLPASS_SOCIAL_PORT_8000_TCP", None),
            ("HALLPASS_NAME", None),
            ("HALLPASS_PORT", None),
            ("HALLPASS_SERVICE_HOST", None),
            ("HALLPASS_PORT_8000_TCP", None),
            ("HALLPASS_COLOUR_OF_THE_PAGES", None),
        ] {
            assert_eq!(closest(name).as_deref(), meant, "{name}");
        }
    }
}
