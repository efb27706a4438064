//! Header values with parameters (`application/json; charset=utf-8`), parsed as by Django.

use crate::drf::http::parsing::charset::Charset;

/// A parsed header value: the part before the first `;`, and the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parametrised {
    /// The value in lower case, without surrounding spaces.
    pub value: String,
    parameters: Vec<(String, String)>,
}

impl Parametrised {
    /// Parses a header value. Any text is accepted; nonsense matches nothing.
    pub fn parse(line: &str) -> Self {
        let mut pieces = split_outside_quotes(line).into_iter();
        let value = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { value, parameters: pieces.filter_map(parameter).collect() }
    }

    /// Returns the value of a parameter; the last one of several.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the names of the parameters.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the two halves of a media type; the second is empty without a `/`.
    pub fn media_type(&self) -> (&str, &str) {
        self.value.split_once('/').unwrap_or((&self.value, ""))
    }

    /// Returns whether this media type, perhaps with `*` in it, covers `main/sub`.
    pub fn covers(&self, main: &str, sub: &str) -> bool {
        let (own_main, own_sub) = self.media_type();
        (own_main == "*" || own_main == main) && (own_sub == "*" || own_sub == sub)
    }
}

fn split_outside_quotes(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|character| {
        quoted ^= character == '"';
        character == ';' && !quoted
    })
    .collect()
}

/// Returns name and value. The value of a name with a `*` may have a charset, a language and
/// percent escapes, separated by `'` (RFC 2231, section 4).
fn parameter(piece: &str) -> Option<(String, String)> {
    let (name, value) = piece.split_once('=')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), unquote(value.trim()));
    let Some(plain) = name.strip_suffix('*') else { return Some((name, value)) };
    let parts: Vec<&str> = value.split('\'').collect();
    let decoded = if let [charset, _, text] = parts[..] {
        Some(Charset::named(charset).unwrap_or(Charset::Utf8).unescape(text))
    } else {
        None
    };
    Some((plain.to_owned(), decoded.unwrap_or(value)))
}

fn unquote(value: &str) -> String {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\\", "\\").replace("\\\"", "\""),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_in_small_letters_and_without_its_parameters() {
        let parsed = Parametrised::parse(" Application/JSON ; Charset=\"UTF-8\"; charset=x");
        assert_eq!(parsed.media_type(), ("application", "json"));
        assert_eq!(parsed.parameter("charset"), Some("x"));
    }

    #[test]
    fn a_semicolon_in_quotes_does_not_end_a_parameter() {
        let parsed = Parametrised::parse("form-data; name=\"a;b\\\\c\"; x=1");
        assert_eq!(parsed.parameter("name"), Some("a;b\\c"));
        assert_eq!(parsed.parameter("x"), Some("1"));
    }

    #[test]
    fn a_star_at_the_end_of_a_name_announces_a_charset() {
        let parsed = Parametrised::parse("x; a*=latin-1'en'%e9%C3; b*=''%c3%a9é+; c*=1; d*='%31'");
        assert_eq!(parsed.parameter("a"), Some("éÃ"));
        assert_eq!(parsed.parameter("b"), Some("éé+"));
        assert_eq!(parsed.parameter("c"), Some("1"));
        assert_eq!(parsed.parameter("d"), Some(""));
        let parsed = Parametrised::parse("x; d*=a'%31; e=''%31");
        assert_eq!(parsed.parameter("d"), Some("a'%31"));
        assert_eq!(parsed.parameter("e"), Some("''%31"));
    }

    #[test]
    fn wildcards_cover_either_half() {
        assert!(Parametrised::parse("*/*").covers("application", "json"));
        assert!(Parametrised::parse("*/json").covers("application", "json"));
        assert!(Parametrised::parse("application/*").covers("application", "json"));
        assert!(!Parametrised::parse("application").covers("application", "json"));
        assert!(!Parametrised::parse("*").covers("application", "json"));
    }
}
