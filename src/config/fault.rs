//! Faults of settings.

use std::fmt;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The name of the setting.
    pub name: String,
    /// Advice: a value that would be accepted.
    pub advice: String,
}

impl ConfigFault {
    /// Returns the fault of a setting.
    pub(super) fn new(name: &str, advice: impl Into<String>) -> Self {
        Self { name: name.to_owned(), advice: advice.into() }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.advice)
    }
}
