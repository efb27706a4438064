//! Values of a request with the types and text forms of Python, as in the reference.

use std::collections::HashMap;

/// A parsed body.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    /// Fields by name.
    Fields(Fields),
    /// JSON `null`.
    Null,
    /// JSON that is not an object; the name of its type in Python.
    Other(&'static str),
}

/// Submitted fields, and their form: an HTML form cannot express "false" or "null".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    /// The last value of each name.
    pub values: Values,
    /// True for an HTML form.
    pub from_form: bool,
}

/// The names of the known fields.
const NAMES: [&str; 5] = ["username", "password", "email", "is_staff", "token"];

/// Values by the names of their fields. Unknown fields are dropped, as no page uses them: a body of
/// a megabyte may have a hundred thousand, which would take twenty times as much memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(HashMap<&'static str, Value>);

impl Values {
    /// Sets a value, replacing an earlier one of that name.
    pub fn insert(&mut self, name: &str, value: Value) {
        if let Some(known) = NAMES.into_iter().find(|known| *known == name) {
            self.0.insert(known, value);
        }
    }

    /// The value of that field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Text),
    /// A list, an object or an uploaded file: no field accepts one.
    Composite,
}

impl Value {
    /// A text that is well-formed Unicode.
    pub fn text(content: impl Into<String>) -> Self {
        Self::Text(Text { content: content.into(), lone_surrogate: None })
    }
}

/// A text. JSON escapes can contain lone surrogates, which Python keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, with U+FFFD in place of each lone surrogate.
    pub content: String,
    /// The first lone surrogate.
    pub lone_surrogate: Option<u16>,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may be a password.
        formatter.write_str("Text(..)")
    }
}

/// A JSON number.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// Without fraction or exponent: exact, of any size. In Python's form ("-0" is "0").
    Integer(String),
    /// A number with fraction or exponent.
    Float(f64),
}

impl Number {
    /// Parses the text of a JSON number.
    pub fn from_json(text: &str) -> Self {
        if text.contains(['.', 'e', 'E']) {
            // A JSON number that is too large for `f64` becomes infinity, as in Python.
            Self::Float(text.parse().unwrap_or(f64::NAN))
        } else if text == "-0" {
            Self::Integer("0".to_owned())
        } else {
            Self::Integer(text.to_owned())
        }
    }

    /// Returns `str()` of Python.
    pub fn to_text(&self) -> String {
        match self {
            Self::Integer(digits) => digits.clone(),
            Self::Float(value) => float_text(*value),
        }
    }

    /// Returns whether this equals one or zero, which Python accepts as `True` and `False`.
    pub fn as_bool(&self) -> Option<bool> {
        match self.to_text().as_str() {
            "1" | "1.0" => Some(true),
            "0" | "0.0" | "-0.0" => Some(false),
            _ => None,
        }
    }
}

/// Returns the shortest digits that parse to the same number, in the format of Python.
fn float_text(value: f64) -> String {
    if !value.is_finite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Returns `str.strip()` of Python: its white space is that of Unicode and the separators U+001C to
/// U+001F.
pub fn strip(text: &str) -> &str {
    text.trim_matches(|character: char| {
        character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_python_prints_them() {
        for (json, printed) in [
            ("123", "123"),
            ("-0", "0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1.50", "1.5"),
            ("1.0", "1.0"),
            ("-0.0", "-0.0"),
            ("1e2", "100.0"),
            ("1E400", "inf"),
            ("-1e400", "-inf"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1.25e22", "1.25e+22"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e-7", "1e-07"),
            ("1e-100", "1e-100"),
            ("0.1", "0.1"),
            ("123456789012345678.0", "1.2345678901234568e+17"),
        ] {
            assert_eq!(Number::from_json(json).to_text(), printed);
        }
    }

    #[test]
    fn white_space_is_what_python_takes_for_it() {
        assert_eq!(strip("\u{1c}\u{85}\u{3000} a b \u{1f}\n"), "a b");
        assert_eq!(strip("\u{200b}a\u{feff}"), "\u{200b}a\u{feff}");
    }
}
