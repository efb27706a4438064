//! Bodies of HTML forms: `application/x-www-form-urlencoded` and `multipart/form-data`, parsed as
//! by Django.

use std::collections::HashMap;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::drf::http::parsing::charset::{self, Charset};
use crate::drf::http::parsing::header::Parametrised;
use crate::drf::http::parsing::value::{Value, Values, strip};

/// Longest headers of a part, as in Django.
const MAX_PART_HEADERS: usize = 1024;
const MAX_BOUNDARY: usize = 201;

/// Parses `a=1&b=2`. The last of duplicate names wins.
pub fn urlencoded(body: &[u8], charset: Charset) -> Values {
    let text = charset.decode(body).unwrap_or_else(|_| charset::latin1(body));
    let mut values = Values::default();
    for (name, value) in pairs(&text, charset) {
        values.insert(&name, Value::text(value));
    }
    values
}

/// Returns the last value of `name` in a query string.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    pairs(query, Charset::Utf8).filter(|(known, _)| known == name).last().map(|(_, value)| value)
}

fn pairs(text: &str, charset: Charset) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unquote(name, charset), unquote(value, charset))
    })
}

fn unquote(text: &str, charset: Charset) -> String {
    let text = text.replace('+', " ");
    if !text.contains('%') {
        return text;
    }
    // Other characters than ASCII were decoded with the body; only the rest can contain escapes.
    text.as_bytes()
        .chunk_by(|one, other| one.is_ascii() == other.is_ascii())
        .map(|run| {
            let bytes: Vec<u8> = percent_encoding::percent_decode(run).collect();
            if run.is_ascii() {
                charset.decode_lossy(&bytes)
            } else {
                Charset::Utf8.decode_lossy(run)
            }
        })
        .collect()
}

/// Returns the fields of a multipart body; a file is a value that no field accepts.
///
/// # Errors
/// The message of the reference. Other faults are skipped, as in the reference.
pub fn multipart(body: &[u8], content_type: &str, charset: Charset) -> Result<Values, String> {
    if !content_type.starts_with("multipart/") {
        return Err(format!("Invalid Content-Type: {content_type}"));
    }
    if !content_type.is_ascii() {
        return Err(format!("Invalid non-ASCII Content-Type in multipart: {content_type}"));
    }
    let parsed = Parametrised::parse(content_type);
    let boundary = match parsed.parameter("boundary") {
        Some(boundary) if is_boundary(boundary) => boundary,
        other => return Err(format!("Invalid boundary in multipart: {}", other.unwrap_or("None"))),
    };
    let mut values = Values::default();
    for part in parts(body, format!("--{boundary}").as_bytes()) {
        let Some((name, value)) = field(part, charset) else { continue };
        // A file overrides texts of the same name, in any order.
        if values.get(&name) != Some(&Value::Composite) {
            values.insert(&name, value);
        }
    }
    Ok(values)
}

fn is_boundary(boundary: &str) -> bool {
    boundary.len() <= MAX_BOUNDARY
        && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && boundary.bytes().last().is_some_and(|last| last != b' ')
}

/// Returns the parts between the boundaries, without the line break before each.
fn parts<'body>(body: &'body [u8], boundary: &[u8]) -> impl Iterator<Item = &'body [u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let body = rest?;
        let Some(end) = find(body, boundary) else { return rest.take() };
        rest = Some(&body[end + boundary.len()..]);
        let part = &body[..end];
        let part = part.strip_suffix(b"\n").unwrap_or(part);
        Some(part.strip_suffix(b"\r").unwrap_or(part))
    })
}

fn field(part: &[u8], charset: Charset) -> Option<(String, Value)> {
    let end = find(&part[..part.len().min(MAX_PART_HEADERS)], b"\r\n\r\n")?;
    let (head, content) = (&part[..end], &part[end + 4..]);
    let headers: HashMap<String, Parametrised> = String::from_utf8_lossy(head)
        .split("\r\n")
        .filter_map(|line| {
            let parsed = Parametrised::parse(line);
            let name = parsed.value.split_once(':')?.0.to_owned();
            Some((name, parsed))
        })
        .collect();
    let disposition = headers.get("content-disposition")?;
    let name = strip(disposition.parameter("name")?).to_owned();
    if let Some(file) = disposition.parameter("filename").filter(|file| !file.is_empty()) {
        let base = file.rsplit(['/', '\\']).next().unwrap_or_default();
        return (!matches!(base, "" | "." | "..")).then_some((name, Value::Composite));
    }
    let encoding = headers.get("content-transfer-encoding");
    let is_base64 = encoding.is_some_and(|header| {
        header.value.split_once(':').is_some_and(|(_, value)| value.trim() == "base64")
    });
    let decoded = is_base64.then(|| lenient_base64(content)).flatten();
    let bytes = decoded.as_deref().unwrap_or(content);
    Some((name, Value::text(charset.decode_lossy(bytes))))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Decodes base64 like `base64.b64decode` of Python: characters outside the alphabet are skipped,
/// the padding is required, and the text after it is ignored.
pub fn lenient_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    let mut padding = 0;
    let mut complete = false;
    for &byte in text {
        let missing = (4 - digits.len() % 4) % 4;
        match byte {
            b'=' if missing == 1 || missing == 2 => {
                padding += 1;
                complete = padding >= missing;
                if complete {
                    break;
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                padding = 0;
                digits.push(byte);
            }
            _ => {}
        }
    }
    if !complete && digits.len() % 4 != 0 {
        return None;
    }
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn text(values: &Values, name: &str) -> String {
        match values.get(name) {
            Some(Value::Text(text)) => text.content.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn form(body: &[u8]) -> Values {
        urlencoded(body, Charset::Utf8)
    }

    #[test]
    fn names_and_values_are_decoded_and_the_last_of_equal_names_wins() {
        let values = form("token=x&%74oken=%ed%95%9c+é%zz&email&&=n".as_bytes());
        assert_eq!(text(&values, "token"), "한 é%zz");
        assert_eq!(text(&values, "email"), "");
    }

    #[test]
    fn escapes_are_in_the_declared_charset() {
        assert_eq!(text(&urlencoded(b"token=%e9", Charset::Latin1), "token"), "é");
        assert_eq!(text(&form(b"token=%e9"), "token"), "\u{fffd}");
    }

    #[test]
    fn a_query_gives_the_last_value() {
        assert_eq!(query_value("format=a&x&format=b+c", "format").as_deref(), Some("b c"));
        assert_eq!(query_value("x=format", "format"), None);
    }

    fn multi(body: &str) -> Values {
        multipart(body.as_bytes(), "multipart/form-data; boundary=B", Charset::Utf8).unwrap()
    }

    #[test]
    fn the_fields_of_a_multipart_body_are_found() {
        let body = "x\r\n--B\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n1\r\n\
                    --B\r\nother: x\r\n\r\nskipped\r\n\
                    --B\r\ncontent-disposition: form-data; name=email\r\n\
                    Content-Transfer-Encoding: base64\r\n\r\nYg==\r\n--B--\r\n";
        let values = multi(body);
        assert_eq!(text(&values, "token"), "1");
        assert_eq!(text(&values, "email"), "b");
    }

    #[test]
    fn a_file_wins_over_a_text_of_the_same_name() {
        let file = "--B\r\nContent-Disposition: form-data; name=token; filename=x\r\n\r\n1\r\n";
        let text = "--B\r\nContent-Disposition: form-data; name=token\r\n\r\n1\r\n";
        for body in [format!("{file}{text}--B--"), format!("{text}{file}--B--")] {
            assert_eq!(multi(&body).get("token"), Some(&Value::Composite));
        }
    }

    #[test]
    fn a_boundary_is_needed() {
        let error = |kind| multipart(b"x", kind, Charset::Utf8).unwrap_err();
        assert_eq!(error("multipart/form-data"), "Invalid boundary in multipart: None");
        assert_eq!(error("multipart/x; boundary=\"a \""), "Invalid boundary in multipart: a ");
        assert_eq!(error("Multipart/x"), "Invalid Content-Type: Multipart/x");
    }

    #[test]
    fn base64_is_read_as_python_reads_it() {
        for (text, bytes) in [
            ("YWI=", Some("ab")),
            ("Y!W I=\n", Some("ab")),
            ("YWI=YWI=", Some("ab")),
            ("YQ==YQ", Some("a")),
            ("YQ=!=", Some("a")),
            ("=YQ==", Some("a")),
            ("Y=Q==", Some("a")),
            ("YW=I=", Some("ab")),
            ("YWJj=", Some("abc")),
            ("!", Some("")),
            ("", Some("")),
            ("YWI", None),
            ("YQ=", None),
            ("YQ=Q", None),
            ("YW=I", None),
            ("YW=IYW==", None),
            ("Y", None),
        ] {
            let expected = bytes.map(|bytes| bytes.as_bytes().to_vec());
            assert_eq!(lenient_base64(text.as_bytes()), expected, "{text}");
        }
    }
}
