//! JSON bodies, with the tolerance of Python's parser: the last of duplicate keys wins, surrogates
//! may stand alone, numbers are exact.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::drf::http::parsing::value::{Fields, Number, Submitted, Text, Value, Values};

/// Python fails near 1000 with an internal error.
const MAX_DEPTH: usize = 512;
/// Python refuses longer integers.
const MAX_DIGITS: usize = 4300;

/// Parses a body; the error is the message for the client.
pub fn parse(text: &str) -> Result<Submitted, String> {
    if is_nested_deeper_than(MAX_DEPTH, text) {
        return Err("nested too deep".to_owned());
    }
    // The first pass checks the whole syntax, including control characters in strings; the passes
    // below can then take raw pieces.
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| without_input(&error))?;
    let whole = whole.get();
    Ok(match whole.as_bytes().first() {
        Some(b'{') => Submitted::Fields(Fields { values: members(whole)?, from_form: false }),
        Some(b'[') => Submitted::Other("list"),
        Some(b'"') => Submitted::Other("str"),
        Some(b't' | b'f') => Submitted::Other("bool"),
        Some(b'n') => Submitted::Null,
        _ => match number(whole)? {
            Number::Integer(_) => Submitted::Other("int"),
            Number::Float(_) => Submitted::Other("float"),
        },
    })
}

/// Returns position and kind of a syntax error. `serde_json` includes no input in these.
fn without_input(error: &serde_json::Error) -> String {
    error.to_string()
}

fn is_nested_deeper_than(limit: usize, text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

fn members(object: &str) -> Result<Values, String> {
    let mut reader = serde_json::Deserializer::from_str(object);
    reader.deserialize_map(Members).map_err(|error| without_input(&error))?
}

fn value(raw: &str) -> Result<Value, String> {
    Ok(match raw.as_bytes().first() {
        Some(b'{' | b'[') => Value::Composite,
        Some(b'"') => {
            let mut reader = serde_json::Deserializer::from_str(raw);
            Value::Text(TextSeed.deserialize(&mut reader).map_err(|error| without_input(&error))?)
        }
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(number(raw)?),
    })
}

fn number(raw: &str) -> Result<Number, String> {
    match Number::from_json(raw) {
        Number::Integer(digits) if digits.len() > MAX_DIGITS => {
            Err("Exceeds the limit (4300 digits) for integer string conversion".to_owned())
        }
        number => Ok(number),
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Result<Values, String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Ok(Values::default());
        while let Some(name) = access.next_key_seed(TextSeed)? {
            let value = value(access.next_value::<&RawValue>()?.get());
            members = members.and_then(|mut members| {
                members.insert(&name.content, value?);
                Ok(members)
            });
        }
        Ok(members)
    }
}

/// A JSON string with permitted lone surrogates.
struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        // As bytes, `serde_json` returns a lone surrogate as the three bytes it would have.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for TextSeed {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
        let mut content = String::with_capacity(bytes.len());
        let mut lone_surrogate = None;
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    content.push_str(text);
                    return Ok(Text { content, lone_surrogate });
                }
                Err(error) => {
                    let (good, broken) = rest.split_at(error.valid_up_to());
                    content.push_str(std::str::from_utf8(good).map_err(E::custom)?);
                    let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] = broken
                    else {
                        return Err(E::custom("not UTF-8"));
                    };
                    let number =
                        0xd000 | (u16::from(*second & 0x3f) << 6) | u16::from(*third & 0x3f);
                    lone_surrogate.get_or_insert(number);
                    content.push('\u{fffd}');
                    rest = after;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(json: &str) -> Value {
        match parse(&format!("{{\"token\":{json}}}")) {
            Ok(Submitted::Fields(fields)) => fields.values.get("token").unwrap().clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_keep_what_the_fields_need_to_know() {
        assert_eq!(field("null"), Value::Null);
        assert_eq!(field("true"), Value::Bool(true));
        assert_eq!(field("[1,{}]"), Value::Composite);
        assert_eq!(field("1e2"), Value::Number(Number::Float(100.0)));
        assert_eq!(field("\"a\\u0062\\ud83d\\ude00\""), Value::text("ab😀"));
    }

    #[test]
    fn lone_surrogates_are_kept_in_mind() {
        let Value::Text(text) = field("\"a\\udfff\\ud800b\"") else { panic!() };
        assert_eq!(text.content, "a\u{fffd}\u{fffd}b");
        assert_eq!(text.lone_surrogate, Some(0xdfff));
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let text = r#"{"token":1,"\ud800":2,"\u0074oken":"last"}"#;
        let Ok(Submitted::Fields(fields)) = parse(text) else { panic!() };
        assert_eq!(fields.values.get("token"), Some(&Value::text("last")));
    }

    #[test]
    fn what_is_no_object_is_named_as_python_names_it() {
        for (text, name) in
            [("[]", "list"), (" \"\"", "str"), ("1", "int"), ("1.0", "float"), ("true", "bool")]
        {
            assert_eq!(parse(text), Ok(Submitted::Other(name)));
        }
        assert_eq!(parse(" null "), Ok(Submitted::Null));
    }

    #[test]
    fn bad_syntax_is_refused_wherever_it_stands() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\":NaN}",
            "{\"a\":\"\n\"}",
            "{\"a\n\":1}",
            "{} x",
            "\u{feff}{}",
            "{\"a\":01}",
            "{\"a\":{\"b\":}}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"\\u12g4\":1}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_count_as_nesting_outside_strings_only() {
        let deep = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&deep(MAX_DEPTH - 1)).is_ok());
        assert!(parse(&deep(MAX_DEPTH)).is_err());
        assert!(parse(&deep(100_000)).is_err());
        assert!(parse(&format!("{{\"x\":\"\\\"{}\"}}", "[".repeat(100_000))).is_ok());
    }

    #[test]
    fn an_integer_of_too_many_digits_is_refused() {
        assert!(parse(&"1".repeat(MAX_DIGITS)).is_ok());
        let long = "1".repeat(MAX_DIGITS + 1);
        assert!(parse(&long).is_err());
        assert!(parse(&format!("{{\"other\":{long},\"token\":1}}")).is_err());
    }
}
