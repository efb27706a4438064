//! Names of settings: recognition, misspellings, renamed ones.

use strsim::osa_distance;

use super::settings::{RENAMED, settings};

/// Returns whether that is the name of a setting, or of the file that holds a secret one.
pub(super) fn is_setting(name: &str) -> bool {
    settings().any(|setting| {
        setting.is_named(name)
            || (setting.secret
                && name.strip_suffix("_FILE").is_some_and(|name| setting.is_named(name)))
    })
}

const PREFIX: &str = "HALLPASS";

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
/// prefix.
pub(super) fn closest(name: &str) -> Option<String> {
    let without_prefix = |name: &str| match name.split_once('_') {
        Some((prefix, rest)) if osa_distance(prefix, PREFIX) <= 2 => rest.to_owned(),
        _ => name.to_owned(),
    };
    let given = without_prefix(&name.to_ascii_uppercase());
    let files = settings().filter(|it| it.secret).map(|it| format!("{}_FILE", it.name));
    let names = settings().map(|it| it.name.to_owned()).chain(files);
    let names = names.filter(|known| !known.contains('<'));
    let distances = names.map(|known| (osa_distance(&given, &without_prefix(&known)), known));
    let nearest = distances.min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, _)| distance * 4 <= given.len()).map(|(_, known)| known)
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
            // What orchestrators add.
            ("HALLPASS_PORT", None),
            ("HALLPASS_SERVICE_HOST", None),
            ("HALLPASS_PORT_8000_TCP", None),
            ("HALLPASS_COLOUR_OF_THE_PAGES", None),
        ] {
            assert_eq!(closest(name).as_deref(), meant, "{name}");
        }
    }
}
