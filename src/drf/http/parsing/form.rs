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
    charset.unescape(&text.replace('+', " "))
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
        let Some(field) = field(part, charset) else { continue };
        let (name, value) = field?;
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

/// Returns name and value of a part, or the message of the reference.
fn field(part: &[u8], charset: Charset) -> Option<Result<(String, Value), String>> {
    let end = find(&part[..part.len().min(MAX_PART_HEADERS)], b"\r\n\r\n")?;
    let (head, content) = (&part[..end], &part[end + 4..]);
    let headers = headers(head);
    let disposition = headers.get("content-disposition")?;
    let name = strip(disposition.parameter("name")?).to_owned();
    let encoding = headers.get("content-transfer-encoding");
    let is_base64 = encoding.is_some_and(|header| {
        header.value.split_once(':').is_some_and(|(_, value)| value.trim() == "base64")
    });
    let decoded = is_base64.then(|| lenient_base64(content));
    if let Some(file) = disposition.parameter("filename").filter(|file| !file.is_empty()) {
        let base = file.rsplit(['/', '\\']).next().unwrap_or_default();
        return match (base, decoded) {
            ("" | "." | "..", _) => None,
            (_, Some(None)) => Some(Err("Could not decode base64 data.".to_owned())),
            _ => Some(Ok((name, Value::Composite))),
        };
    }
    let decoded = decoded.flatten();
    let bytes = decoded.as_deref().unwrap_or(content);
    Some(Ok((name, Value::text(charset.decode_lossy(bytes)))))
}

/// Returns the headers of a part, the last of those with one name. Lines that the reference cannot
/// read are skipped: continuations of folded ones, and names beyond ASCII.
fn headers(head: &[u8]) -> HashMap<String, Parametrised> {
    String::from_utf8_lossy(head)
        .split("\r\n")
        .filter_map(|line| {
            let parsed = Parametrised::parse(line);
            let is_ascii = parsed.value.is_ascii() && parsed.parameter_names().all(str::is_ascii);
            let name = parsed.value.split_once(':').filter(|_| is_ascii)?.0.to_owned();
            Some((name, parsed))
        })
        .collect()
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
mod tests;
