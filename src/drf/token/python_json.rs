//! Objects in the JSON of Python's `json` module, which the reference parses claims with. Beyond
//! RFC 8259 it knows `NaN`, `Infinity`, numbers without a limit and surrogates that stand alone.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// `NaN`, as the text that `int` of Python refuses in the same way.
const NOT_A_NUMBER: &str = "\"nan\"";
/// A number that is too large for a float. It is no valid time, as a list is none.
const INFINITE: &str = "[\"inf\"]";
/// Replacement of a surrogate that stands alone. No user name may contain it.
const REPLACEMENT: char = '\u{fffd}';

/// Returns the members of an object; the last of those with one name.
pub fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(&strict(text)).ok()
}

/// Returns the text in the JSON of RFC 8259. What is no JSON for Python stays none.
fn strict(text: &str) -> String {
    let mut strict = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_in_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.');
        let end = match first {
            '"' => end_of_string(rest),
            _ if is_in_word(first) => rest.find(|it| !is_in_word(it)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        match token {
            // Of a member, the name must be a string.
            "NaN" if !after.trim_start().starts_with(':') => strict.push_str(NOT_A_NUMBER),
            "Infinity" | "-Infinity" => strict.push_str(INFINITE),
            _ if first == '"' => push_without_lone_surrogates(&mut strict, token),
            _ if is_too_large(token) => strict.push_str(INFINITE),
            _ => strict.push_str(token),
        }
        rest = after;
    }
    strict
}

/// Returns the length of the string at the beginning, with its quotation marks.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Returns whether this is a number of JSON that no float can hold.
fn is_too_large(token: &str) -> bool {
    token.parse().is_ok_and(f64::is_infinite) && serde_json::from_str::<IgnoredAny>(token).is_ok()
}

fn push_without_lone_surrogates(strict: &mut String, string: &str) {
    let mut rest = string;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        strict.push_str(before);
        let second = escape.get(6..).and_then(code_unit);
        let (is_lone, length) = match (code_unit(escape), second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (false, 12),
            (Some(0xd800..=0xdfff), _) => (true, 6),
            _ => (false, escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at)),
        };
        if is_lone {
            strict.push(REPLACEMENT);
        } else {
            strict.push_str(&escape[..length]);
        }
        rest = &escape[length..];
    }
    strict.push_str(rest);
}

/// Returns the code unit of the escape at the beginning.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|it| it.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_alone_reads_is_read() {
        let many = format!("1{}", "0".repeat(400));
        for (value, read) in [
            ("NaN", json!("nan")),
            ("Infinity", json!(["inf"])),
            ("-Infinity", json!(["inf"])),
            ("1e400", json!(["inf"])),
            ("-1E+400", json!(["inf"])),
            (many.as_str(), json!(["inf"])),
            ("[NaN,\"NaN\",{\"Infinity\":NaN}]", json!(["nan", "NaN", {"Infinity": "nan"}])),
            (r#""\ud800""#, json!("\u{fffd}")),
            (r#""a\uDFFFb\ud800\ud83d\ude00\udc00""#, json!("a\u{fffd}b\u{fffd}😀\u{fffd}")),
            (r#""\\ud800\"\ud800""#, json!("\\ud800\"\u{fffd}")),
            (r#""1e400 NaN""#, json!("1e400 NaN")),
            (r#""é\/\u00e9""#, json!("é/é")),
            ("1e300", json!(1e300)),
            ("-12.5", json!(-12.5)),
            ("[true , null]", json!([true, null])),
        ] {
            let object = object(&format!(" {{\"a\" : {value} }}\n"));
            assert_eq!(object.unwrap()["a"], read, "{value}");
        }
        assert_eq!(object(r#"{"a":NaN,"\ud800":1,"a":2}"#).unwrap()["a"], 2);
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for value in [
            "nan",
            "-NaN",
            "+Infinity",
            "inf",
            "infinity",
            "INFINITY",
            "Nan",
            "NaNa",
            "1NaN",
            "--Infinity",
            "01e400",
            "1.e400",
            ".1e400",
            "+1e400",
            "1e400x",
            "True",
            "None",
            "'a'",
            r#""\ud80""#,
            r#""\ud80g""#,
            r#""\u+123""#,
            r#""\é""#,
            r#""\"#,
            r#""a"#,
            "\"\n\"",
            "",
            "1,",
            "[1",
            "1,NaN:1",
            "1,Infinity:1",
            "1} 1",
        ] {
            assert_eq!(object(&format!("{{\"a\":{value}}}")), None, "{value}");
        }
        for text in ["", "[]", "NaN", "\u{feff}{}", "{\"a\":1}x"] {
            assert_eq!(object(text), None, "{text}");
        }
    }
}
