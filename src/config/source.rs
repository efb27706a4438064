//! Sources of settings: the environment, then a `.env` file; secrets also from files. Faults are
//! gathered and reported together.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use strsim::osa_distance;

use super::settings::{RENAMED, settings};
use super::types::LogFormat;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Its name.
    pub name: String,
    /// Advice: a value that would be accepted.
    pub advice: String,
}

impl ConfigFault {
    fn new(name: &str, advice: impl Into<String>) -> Self {
        Self { name: name.to_owned(), advice: advice.into() }
    }
}

impl Display for ConfigFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.advice)
    }
}

/// Values by name, and the faults found so far.
pub struct Source {
    values: HashMap<String, String>,
    pub(super) faults: Vec<ConfigFault>,
    /// Names that look like settings but are none.
    pub(super) unknown: Vec<String>,
    /// Files of secrets that others than their owner can read.
    pub(super) open_files: Vec<String>,
    /// Warnings about single settings for the operator.
    pub(super) notes: Vec<String>,
}

impl Source {
    /// Reads the environment of the process, and `.env` in the working folder for what it lacks.
    pub fn from_environment() -> Self {
        let (mut values, mut faults) = match std::fs::read_to_string(".env") {
            Ok(text) => read_dot_env(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => <_>::default(),
            Err(_) => (HashMap::new(), vec![ConfigFault::new(".env", "cannot be read")]),
        };
        let has_secret = values.iter().any(|(name, value)| {
            let mut secrets = settings().filter(|it| it.secret && it.is_named(name));
            !value.is_empty() && secrets.any(|it| value != it.default)
        });
        #[expect(clippy::disallowed_methods, reason = "this is the one home of settings")]
        let environment = std::env::vars_os();
        for (name, value) in environment {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(values.insert(name, value)),
                Err(_) if is_setting(&name) => {
                    faults.push(ConfigFault::new(&name, "must be text in UTF-8"));
                }
                // Not ours.
                Err(_) => {}
            }
        }
        let mut source = Self::from_values(values);
        source.faults.append(&mut faults);
        if has_secret && is_open(Path::new(".env")) {
            source.open_files.push(".env".to_owned());
        }
        source
    }

    /// Given values, for tests.
    pub fn from_values(values: HashMap<String, String>) -> Self {
        // Orchestrators put variables of their own beside ours (HALLPASS_PORT for a service of
        // that name), so an unknown name is worth a warning, not a refusal.
        let mut unknown: Vec<String> = values
            .keys()
            .filter(|name| {
                name.starts_with("HALLPASS_") && !name.starts_with("HALLPASS_TEST_")
                    || misspells_prefix(name) && closest(name).is_some()
            })
            .filter(|name| !is_setting(name))
            .cloned()
            .collect();
        unknown.sort();
        let renamed = unknown.iter().filter_map(|old| Some((old, new_name(old)?)));
        let faults: Vec<ConfigFault> = renamed
            .map(|(old, new)| ConfigFault::new(old, format!("was renamed: use {new}")))
            .collect();
        unknown.retain(|name| new_name(name).is_none());
        Self { values, faults, unknown, open_files: Vec::new(), notes: Vec::new() }
    }

    /// Returns the format of the log, for faults that are reported before all settings are read.
    pub fn log_format(&self) -> LogFormat {
        match self.values.get("HALLPASS_LOG_FORMAT").map(|it| it.trim()) {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }

    pub(super) fn fault(&mut self, name: &str, advice: impl Into<String>) {
        self.faults.push(ConfigFault::new(name, advice));
    }

    /// The value, if it is set and not empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        debug_assert!(is_setting(name), "{name} is not listed");
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// Returns the names with that prefix that have a value, without the prefix.
    pub(super) fn names_after(&self, prefix: &str) -> Vec<String> {
        let set = self.values.iter().filter(|(_, value)| !value.is_empty());
        let names = set.filter_map(|(name, _)| name.strip_prefix(prefix).map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Refuses settings that are present without a value, which may be a value that did not arrive.
    pub(super) fn refuse_empty(&mut self) {
        let is_empty = |(name, value): &(&String, &String)| {
            let name = name.strip_suffix("_FILE").unwrap_or(name);
            value.is_empty() && is_setting(name)
        };
        let mut names: Vec<String> =
            self.values.iter().filter(is_empty).map(|(name, _)| name.clone()).collect();
        names.sort();
        names.retain(|name| self.faults.iter().all(|fault| fault.name != *name));
        for name in names {
            self.fault(&name, "is empty: give it a value, or leave it out");
        }
    }

    /// Returns a secret: its value, or the content of the file that its twin names.
    pub(super) fn secret(&mut self, name: &str) -> Option<String> {
        let file_name = format!("{name}_FILE");
        let path = self.values.get(&file_name).filter(|path| !path.is_empty()).cloned();
        let (value, path) = (self.text(name), path);
        match (value, path) {
            (Some(_), Some(_)) => {
                self.fault(name, format!("is set twice: as {name} and as {file_name}"));
                None
            }
            (value, None) => value,
            (None, Some(path)) => match std::fs::read_to_string(Path::new(&path)) {
                Ok(text) => {
                    if is_open(Path::new(&path)) {
                        self.open_files.push(format!("{file_name}: {path}"));
                    }
                    Some(text.trim_end_matches(['\r', '\n']).to_owned())
                }
                Err(error) => {
                    // A secret that was meant for the twin is not shown.
                    let is_path = ["/", "./", "../"].iter().any(|it| path.starts_with(it));
                    let file = if is_path { &path } else { "of that relative path" };
                    self.fault(&file_name, format!("the file {file} cannot be read: {error}"));
                    None
                }
            },
        }
    }

    /// Returns the value that `parse` reads, or `default`.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.text(name).map(|text| parse(text.trim())) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(advice)) => {
                self.fault(name, advice);
                default
            }
        }
    }

    /// A number within a range.
    pub(super) fn number<T>(&mut self, name: &str, default: T, from: T, to: T) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.parsed(name, default, |text| match text.parse::<T>() {
            Ok(value) if value >= from && value <= to => Ok(value),
            _ => Err(format!("must be a number from {from} to {to}")),
        })
    }

    /// Returns a duration such as `5m` or `7d` within a range.
    pub(super) fn duration(
        &mut self,
        name: &str,
        default: Duration,
        from: Duration,
        to: Duration,
    ) -> Duration {
        self.parsed(name, default, |text| match humantime::parse_duration(text) {
            Ok(value) if value >= from && value <= to => Ok(value),
            _ => Err(format!(
                "must be a duration from {} to {}, such as 90s, 5m or 7d",
                humantime::format_duration(from),
                humantime::format_duration(to)
            )),
        })
    }

    /// A switch that is on by default.
    pub(super) fn is_on(&mut self, name: &str) -> bool {
        self.choice(name, true, &[("on", true), ("off", false)])
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, default: T, words: &[(&str, T)]) -> T {
        self.parsed(name, default, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("must be one of: {}", words.join(", "))
            })
        })
    }
}

/// Returns whether others than the owner can read or replace the content of a file.
pub(super) fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o066 != 0)
}

/// Returns whether that is the name of a setting, or of the file that holds a secret one.
fn is_setting(name: &str) -> bool {
    settings().any(|setting| {
        setting.is_named(name)
            || (setting.secret
                && name.strip_suffix("_FILE").is_some_and(|name| setting.is_named(name)))
    })
}

const PREFIX: &str = "HALLPASS";

/// Returns whether a name begins with something like `HALLPASS_`.
fn misspells_prefix(name: &str) -> bool {
    name.split_once('_').is_some_and(|(prefix, _)| (1..=2).contains(&osa_distance(prefix, PREFIX)))
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
fn closest(name: &str) -> Option<String> {
    let without_prefix = |name: &str| match name.split_once('_') {
        Some((prefix, rest)) if osa_distance(prefix, PREFIX) <= 2 => rest.to_owned(),
        _ => name.to_owned(),
    };
    let given = without_prefix(name);
    let files = settings().filter(|it| it.secret).map(|it| format!("{}_FILE", it.name));
    let names = settings().map(|it| it.name.to_owned()).chain(files);
    let names = names.filter(|known| !known.contains('<'));
    let distances = names.map(|known| (osa_distance(&given, &without_prefix(&known)), known));
    let nearest = distances.min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, _)| distance * 4 <= given.len()).map(|(_, known)| known)
}

/// Returns the new name of a setting that was renamed.
fn new_name(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

/// Special characters of `.env` files, with substitutes from the private use area, which no setting
/// has: with them a file is read without variables and escapes.
const SPECIAL: [(char, char); 2] = [('$', '\u{f8ff}'), ('\\', '\u{f8fe}')];

/// Returns the values of a `.env` file. In some of its quotes `$NAME` is a variable and `\n` a line
/// feed, and a password with one would become another: where that changes a setting, it is a fault.
fn read_dot_env(text: &str) -> (HashMap<String, String>, Vec<ConfigFault>) {
    // Some editors begin a file with this.
    let text = text.trim_start_matches('\u{feff}');
    let as_written = SPECIAL.iter().fold(text.to_owned(), |text, (special, stand_in)| {
        text.replace(*special, &stand_in.to_string())
    });
    let meant = |written: String| {
        SPECIAL.iter().fold(written, |text, (special, stand_in)| {
            text.replace(*stand_in, &special.to_string())
        })
    };
    let lines = dotenvy::from_read_iter(text.as_bytes());
    let (mut values, mut faults) = (HashMap::new(), Vec::new());
    for (line, as_written) in lines.zip(dotenvy::from_read_iter(as_written.as_bytes())) {
        match (line, as_written) {
            (Ok((name, value)), Ok((_, written))) if value == meant(written.clone()) => {
                values.insert(name, value);
            }
            (Ok((name, _)), _) | (Err(_), Ok((name, _))) if is_setting(&name) => {
                faults.push(ConfigFault::new(
                    &name,
                    "has a `$` or a `\\` in .env, which mean something else there: put the value as it is \
                     meant into single quotes",
                ));
            }
            (Err(_), Err(_)) => faults.push(ConfigFault::new(
                ".env",
                "holds a line that is not NAME=value (a value with spaces stands in quotes)",
            )),
            // Not ours.
            _ => {}
        }
    }
    (values, faults)
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
            ("HALLPASS_LIMIT_NETWROK", Some("HALLPASS_LIMIT_NETWORK")),
            // What orchestrators add.
            ("HALLPASS_PORT", None),
            ("HALLPASS_SERVICE_HOST", None),
            ("HALLPASS_PORT_8000_TCP", None),
            ("HALLPASS_COLOUR_OF_THE_PAGES", None),
        ] {
            assert_eq!(closest(name).as_deref(), meant, "{name}");
        }
        let names = ["HALPASS_BIND", "HELP_PATH", "DATABASE_URLS", "HALLPASS_PORT", "PATH"];
        let values = names.map(|name| (name.to_owned(), String::new()));
        let source = Source::from_values(values.into_iter().collect());
        assert_eq!(source.unknown, ["HALLPASS_PORT", "HALPASS_BIND"]);
    }

    #[test]
    fn what_is_special_stands_for_itself_or_is_a_fault() {
        let secret = "HALLPASS_SECRET";
        for (written, value) in [
            ("'pa$$word $HOME ${X}'", Some("pa$$word $HOME ${X}")),
            ("plain # costs $5", Some("plain")),
            ("\"plain\"", Some("plain")),
            ("pa$word", None),
            ("pa$$word", None),
            ("password$", None),
            ("${HOME}", None),
            ("\"pa$word\"", None),
            ("\"pa$word yes\"", None),
            ("pa\\$word", None),
            ("pa\\nword", None),
            ("\"pa\\\\word\"", None),
            ("pa\\dword", None),
            ("'pa\\word\\n'", Some("pa\\word\\n")),
            ("pa\\$wo$rd", None),
            ("'a'$b", None),
        ] {
            let text = format!("# $5\nA=1\n{secret}={written}\nexport HALLPASS_BIND='$'\n");
            let (values, faults) = read_dot_env(&text);
            assert_eq!(values.get(secret).map(String::as_str), value, "{written}");
            assert_eq!(values["HALLPASS_BIND"], "$");
            let names: Vec<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
            assert_eq!(names.is_empty(), value.is_some(), "{written}");
            assert!(names.iter().all(|name| *name == secret), "{names:?}");
        }
    }

    #[test]
    fn other_programs_may_use_variables_in_the_same_file() {
        let (values, faults) = read_dot_env("URL=http://$HOST\nHALLPASS_LOG=info\n");
        assert!(faults.is_empty());
        assert_eq!(values["HALLPASS_LOG"], "info");
        let (_, faults) = read_dot_env("no setting\nHALLPASS_LOG='\n");
        assert!(faults.iter().all(|fault| fault.name == ".env") && faults.len() == 2, "{faults:?}");
    }
}
