//! Framing of requests (RFC 9112, sections 2, 6 and 7.1): the end of each.
//!
//! actix-http parses all that it has read, and writes a response by the method, version and
//! `Connection` header of the request that it parsed last. So it is given one request at a time;
//! otherwise a `HEAD` that a client sent ahead would take the body from the response before.
//!
//! It is also what [`parking`](super::parking) relies on: between two requests, actix-http holds
//! nothing that the client sent.

use memchr::memchr;

/// Size in bytes of the longest line that is kept. Of a longer one in a head, such as a cookie, the
/// name of the field is enough.
const MAX_LINE: usize = 8 * 1024;

/// The part of a request that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// None: a request begins with it, or an empty line before one.
    Between,
    Head,
    /// The rest of a long line of the head, which says nothing about the body.
    LongLine,
    /// This many bytes of the body.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// This many bytes of a chunk and its line end.
    Chunk(u64),
    /// Lines after the last chunk.
    Trailers,
    /// All that follows on this connection: an upgrade, or a head that actix-http refuses.
    Unknown,
}

/// The body that a head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(Option<u64>),
    Chunked,
    Unknown,
}

/// The ends of the requests of one connection.
#[derive(Debug)]
pub struct Framing {
    part: Part,
    body: Body,
    /// The beginning of a line whose end is not received yet.
    line: Vec<u8>,
}

impl Default for Framing {
    fn default() -> Self {
        Self { part: Part::Between, body: Body::Length(None), line: Vec::new() }
    }
}

impl Framing {
    /// Returns whether all bytes so far belong to whole requests.
    pub fn is_between_requests(&self) -> bool {
        self.part == Part::Between
    }

    /// Returns how many of the bytes belong to the current request: all, unless it ends before.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if self.part == Part::Between {
            let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
            let Some(first) = bytes.iter().position(|byte| !is_line_end(byte)) else {
                return bytes.len();
            };
            (self.part, self.body, at) = (Part::Head, Body::Length(None), first);
        }
        while at < bytes.len() && self.part != Part::Between {
            let rest = &bytes[at..];
            at += match self.part {
                Part::Body(left) => {
                    let (count, left) = taken(rest, left);
                    self.part = if left == 0 { Part::Between } else { Part::Body(left) };
                    count
                }
                Part::Chunk(left) => {
                    let (count, left) = taken(rest, left);
                    self.part = if left == 0 { Part::ChunkSize } else { Part::Chunk(left) };
                    count
                }
                Part::Head | Part::ChunkSize | Part::Trailers => self.take_line(rest),
                Part::LongLine => match memchr(b'\n', rest) {
                    Some(end) => {
                        self.part = Part::Head;
                        end + 1
                    }
                    None => rest.len(),
                },
                Part::Between | Part::Unknown => rest.len(),
            };
        }
        at
    }

    /// Takes the bytes up to the end of the line, and interprets the line if they have its end.
    fn take_line(&mut self, bytes: &[u8]) -> usize {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.line.len() + part.len() > MAX_LINE {
            return self.begin_long_line(part);
        }
        let Some(end) = end else {
            self.line.extend_from_slice(part);
            return bytes.len();
        };
        if self.line.is_empty() {
            self.end_line(part);
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(part);
            self.end_line(&line);
        }
        end + 1
    }

    /// Takes the bytes up to the longest line that is kept, and forgets the line.
    fn begin_long_line(&mut self, part: &[u8]) -> usize {
        let mut line = std::mem::take(&mut self.line);
        let count = MAX_LINE - line.len();
        line.extend_from_slice(&part[..count]);
        let is_harmless = self.part == Part::Head && !is_about_end(&line);
        self.part = if is_harmless { Part::LongLine } else { Part::Unknown };
        count
    }

    fn end_line(&mut self, line: &[u8]) {
        let stripped = line.strip_suffix(b"\r");
        if stripped.is_none() && self.part != Part::Head {
            // For actix-http, lines of a body end with CR LF alone.
            self.part = Part::Unknown;
            return;
        }
        let line = stripped.unwrap_or(line);
        self.part = match self.part {
            Part::Head if line.is_empty() => match self.body {
                Body::Length(None | Some(0)) => Part::Between,
                Body::Length(Some(length)) => Part::Body(length),
                Body::Chunked => Part::ChunkSize,
                Body::Unknown => Part::Unknown,
            },
            Part::Head => {
                self.body = body_after(self.body, line);
                Part::Head
            }
            Part::ChunkSize => match chunk_size(line) {
                Some(0) => Part::Trailers,
                Some(size) => size.checked_add(2).map_or(Part::Unknown, Part::Chunk),
                None => Part::Unknown,
            },
            Part::Trailers if line.is_empty() => Part::Between,
            part => part,
        };
    }
}

/// Returns how many of the bytes belong to the next `left`, and how many of these are missing.
fn taken(bytes: &[u8], left: u64) -> (usize, u64) {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (count, left - count as u64)
}

/// Returns whether a line of a head can decide where the request ends.
fn is_about_end(line: &[u8]) -> bool {
    let fields: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"connection", b"upgrade"];
    let name = memchr(b':', line).map_or(line, |colon| &line[..colon]);
    line.starts_with(b"CONNECT ") || fields.iter().any(|field| name.eq_ignore_ascii_case(field))
}

/// Returns the body that a head announces with one more line.
fn body_after(body: Body, line: &[u8]) -> Body {
    if line.starts_with(b"CONNECT ") {
        return Body::Unknown;
    }
    let Some(colon) = memchr(b':', line) else { return body };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        14 if is(b"content-length") => match (body, number(value, 10)) {
            (Body::Length(None), length @ Some(_)) => Body::Length(length),
            _ => Body::Unknown,
        },
        17 if is(b"transfer-encoding") => {
            let is_chunked = value.eq_ignore_ascii_case(b"chunked");
            if is_chunked && body == Body::Length(None) { Body::Chunked } else { Body::Unknown }
        }
        10 if is(b"connection") && asks_for_upgrade(value) => Body::Unknown,
        7 if is(b"upgrade") && value.eq_ignore_ascii_case(b"websocket") => Body::Unknown,
        _ => body,
    }
}

fn asks_for_upgrade(options: &[u8]) -> bool {
    let upgrade = b"upgrade";
    options.windows(upgrade.len()).any(|part| part.eq_ignore_ascii_case(upgrade))
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    number(size.trim_ascii(), 16)
}

/// Returns a number of digits alone.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digits = str::from_utf8(digits).ok()?;
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(digits, radix).ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests;
