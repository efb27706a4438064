//! Parsing of bodies with the parser for their `Content-Type`.

use crate::drf::http::parsing::charset::Charset;
use crate::drf::http::parsing::header::Parametrised;
use crate::drf::http::parsing::value::{Fields, Submitted, Values};
use crate::drf::http::parsing::{form, json};

/// Longest body in bytes. The reference had no limit; this one suffices for all of its requests.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Reasons why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// 415: no parser for this `Content-Type`, as received.
    MediaType(String),
    /// 400, with the message for the client.
    Malformed(String),
}

/// The parsers in the reference's order, which matters for a `*` in the type.
#[derive(Clone, Copy)]
enum Parser {
    Json,
    Urlencoded,
    Multipart,
}

const PARSERS: [(&str, &str, Parser); 3] = [
    ("application", "json", Parser::Json),
    ("application", "x-www-form-urlencoded", Parser::Urlencoded),
    ("multipart", "form-data", Parser::Multipart),
];

/// Parses a body of this `Content-Type` (empty: none).
pub fn read(body: &[u8], content_type: &str) -> Result<Submitted, Unreadable> {
    let parsed = Parametrised::parse(content_type);
    let parser = PARSERS.into_iter().find(|(main, sub, _)| parsed.covers(main, sub));
    let parser = parser.map(|(_, _, parser)| parser);
    if body.is_empty() {
        let from_form = matches!(parser, Some(Parser::Urlencoded | Parser::Multipart));
        return Ok(Submitted::Fields(Fields { values: Values::default(), from_form }));
    }
    // An unknown charset is ignored.
    let charset = parsed.parameter("charset").and_then(Charset::named).unwrap_or(Charset::Utf8);
    match parser {
        None => Err(Unreadable::MediaType(content_type.to_owned())),
        Some(Parser::Json) => {
            let text = charset.decode(body).map_err(json_error)?;
            json::parse(&text).map_err(json_error)
        }
        Some(Parser::Urlencoded) => Ok(Submitted::Fields(Fields {
            values: form::urlencoded(body, charset),
            from_form: true,
        })),
        Some(Parser::Multipart) => match form::multipart(body, content_type, charset) {
            Ok(values) => Ok(Submitted::Fields(Fields { values, from_form: true })),
            Err(text) => Err(Unreadable::Malformed(format!("Multipart form parse error - {text}"))),
        },
    }
}

fn json_error(text: impl std::fmt::Display) -> Unreadable {
    Unreadable::Malformed(format!("JSON parse error - {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drf::http::parsing::value::Value;

    fn field(body: &[u8], content_type: &str) -> Value {
        match read(body, content_type) {
            Ok(Submitted::Fields(fields)) => fields.values.get("token").unwrap().clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_type_chooses_the_parser() {
        for content_type in ["application/json", "APPLICATION/JSON; charset=UTF-8", "*/*"] {
            assert_eq!(field(b"{\"token\":\"x\"}", content_type), Value::text("x"));
        }
        assert_eq!(field(b"token=x", "application/x-www-form-urlencoded"), Value::text("x"));
    }

    #[test]
    fn the_charset_is_obeyed_and_an_unknown_one_is_not() {
        let latin = b"{\"token\":\"\xe9\"}";
        assert_eq!(field(latin, "application/json; charset=latin-1"), Value::text("é"));
        let unknown = "{\"token\":\"é\"}".as_bytes();
        assert_eq!(field(unknown, "application/json; charset=nonsense"), Value::text("é"));
    }

    #[test]
    fn an_empty_body_is_an_empty_object_whatever_the_type() {
        for content_type in ["", "text/plain", "application/json", "multipart/form-data"] {
            let Ok(Submitted::Fields(fields)) = read(b"", content_type) else { panic!() };
            assert_eq!(fields.values, Values::default());
        }
    }

    #[test]
    fn another_type_is_refused_as_it_came() {
        let refused = |kind: &str| read(b"x", kind) == Err(Unreadable::MediaType(kind.to_owned()));
        assert!(refused("text/plain; charset=utf-8"));
        assert!(refused(""));
        assert!(refused("multipart/mixed"));
    }

    #[test]
    fn broken_json_says_so() {
        let Err(Unreadable::Malformed(text)) = read(b"{", "application/json") else { panic!() };
        assert!(text.starts_with("JSON parse error - "));
    }
}
