//! Lines of the text format of Prometheus.

use std::fmt::{Display, Write as _};

/// Lines of metrics. Writing to a `String` cannot fail.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a metric.
    pub(super) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a value with labels.
    pub(super) fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    /// Adds a value without labels.
    pub(super) fn value(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// Adds a metric of one value.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.value(name, value);
    }

    /// Adds a metric with a value for each value of one label.
    pub(super) fn by_label<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        (label, values): (&str, &[(&str, V)]),
    ) {
        self.head(name, kind, help);
        for (of, value) in values {
            self.line(name, &format!("{label}=\"{of}\""), value);
        }
    }

    /// Returns the text.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}
