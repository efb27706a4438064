//! One row of the table of settings.

/// One setting.
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Default value, as shown to people.
    pub default: &'static str,
    /// True if it is secret; then `NAME_FILE` may name a file that holds it.
    pub secret: bool,
    /// Explanation for `.env.example`.
    pub help: &'static str,
}

pub(super) const fn setting(
    name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, default, secret: false, help }
}

pub(super) const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: "", secret: true, help }
}

impl Setting {
    /// Returns whether a variable is this setting. A part of the name in angle brackets stands for
    /// any name of capitals, digits and underscores.
    pub fn is_named(&self, name: &str) -> bool {
        let Some((prefix, rest)) = self.name.split_once('<') else { return name == self.name };
        let suffix = rest.split_once('>').map_or("", |(_, suffix)| suffix);
        let inner = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix));
        inner.is_some_and(is_provider_name)
    }
}

/// Returns whether a provider can have this name in settings.
pub fn is_provider_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
        && !name.starts_with('_')
        && !name.ends_with('_')
        && !name.contains("__")
}
