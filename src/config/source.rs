//! Sources of settings: the environment, then a `.env` file; secrets also from files. Faults are
//! gathered and reported together.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::dot_env::read_dot_env;
use super::fault::ConfigFault;
use super::file_access::{Content, warnings_about};
use super::names::{is_setting, new_name, resembles_a_setting};
use super::settings::settings;
use super::types::LogFormat;

/// Values by name, and the faults found so far.
pub struct Source {
    values: HashMap<String, String>,
    pub(super) faults: Vec<ConfigFault>,
    /// Names that look like settings but are none.
    pub(super) unknown: Vec<String>,
    /// Warnings about files that others can read or replace.
    pub(super) weak_files: Vec<String>,
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
        let (file, content) =
            (Path::new(".env"), if has_secret { Content::Secret } else { Content::Public });
        if file.exists() {
            source.weak_files = warnings_about(".env", file, content);
        }
        source
    }

    /// Returns a source of the given values, for tests.
    pub fn from_values(values: HashMap<String, String>) -> Self {
        // Orchestrators put variables of their own beside ours (HALLPASS_PORT for a service of
        // that name), so an unknown name is worth a warning, not a refusal.
        let mut unknown: Vec<String> = values
            .keys()
            .filter(|name| {
                name.starts_with("HALLPASS_") && !name.starts_with("HALLPASS_TEST_")
                    || resembles_a_setting(name)
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
        Self { values, faults, unknown, weak_files: Vec::new(), notes: Vec::new() }
    }

    /// Returns the format of the log, for faults that are reported before all settings are read.
    pub fn log_format(&self) -> LogFormat {
        match self.values.get("HALLPASS_LOG_FORMAT").map(|it| it.trim()) {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }

    /// Returns whether the operator has chosen what is logged.
    pub fn has_log_filter(&self) -> bool {
        self.values.get("HALLPASS_LOG").is_some_and(|filter| !filter.trim().is_empty())
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
                    let shown = format!("{file_name}: {path}");
                    let weak = warnings_about(&shown, Path::new(&path), Content::Secret);
                    self.weak_files.extend(weak);
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

    /// Reads a switch that is on by default.
    pub(super) fn is_on(&mut self, name: &str) -> bool {
        self.choice(name, true, &[("on", true), ("off", false)])
    }

    /// Reads a setting that is one of `words`.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, default: T, words: &[(&str, T)]) -> T {
        self.parsed(name, default, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("must be one of: {}", words.join(", "))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_resembles_a_setting_is_reported() {
        let meant =
            ["DATABASE_URI", "DATABSE_URL", "HALPASS_BIND", "database_url", "hallpass_bind"];
        let others = ["DATABASE_HOST", "HELP_PATH", "HALLPASS_PORT", "PATH", "PORT"];
        let names = [&meant[..], &others].concat();
        let values = names.into_iter().map(|name| (name.to_owned(), String::new()));
        let source = Source::from_values(values.collect());
        let mut reported = meant.to_vec();
        reported.push("HALLPASS_PORT");
        reported.sort_unstable();
        assert_eq!(source.unknown, reported);
    }
}
