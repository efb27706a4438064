//! SMTP replies (RFC 5321 section 4.2): three digits decide, the text is for people.
//!
//! The text may be missing or in any encoding. A reply that cannot be parsed counts as a failure,
//! and a mail whose acceptance is not recognised is sent again.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Longest reply in bytes, with all lines.
const LONGEST: u64 = 64 * 1024;

/// A complete reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits of the last line.
    pub code: u16,
    /// Text of each line, without digits and line end.
    pub lines: Vec<String>,
}

/// Error of reading a reply.
#[derive(Debug)]
pub(super) enum ReplyError {
    /// The connection was closed or lost.
    Lost(io::Error),
    /// A line does not begin with three digits, or the reply is too long.
    Garbled,
}

impl Reply {
    /// Reads lines up to the one that has no `-` behind its digits.
    pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Self, ReplyError> {
        let mut stream = stream.take(LONGEST);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line).await.map_err(ReplyError::Lost)?;
            if line.last() != Some(&b'\n') {
                return Err(match stream.limit() {
                    0 => ReplyError::Garbled,
                    _ => ReplyError::Lost(io::ErrorKind::UnexpectedEof.into()),
                });
            }
            let line = Line::parse(&line).ok_or(ReplyError::Garbled)?;
            lines.push(line.text);
            if line.is_last {
                return Ok(Self { code: line.code, lines });
            }
        }
    }

    /// Returns true for 2yz, positive completion.
    pub(super) const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Returns true for 3yz, positive intermediate.
    pub(super) const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// Returns true for 5yz, permanent negative completion.
    pub(super) const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Returns subject and detail of the enhanced status code (RFC 3463): 1 and 1 of `5.1.1`.
    pub(super) fn enhanced(&self) -> Option<(u16, u16)> {
        self.enhanced_code().map(|(_, subject, detail)| (subject, detail))
    }

    /// Returns the codes without the text, which often repeats the address: `550 5.1.1`.
    pub(super) fn shown(&self) -> String {
        match self.enhanced_code() {
            Some((class, subject, detail)) => format!("{} {class}.{subject}.{detail}", self.code),
            None => self.code.to_string(),
        }
    }

    /// Returns class, subject and detail of the first line that has them: some servers leave them
    /// out of further lines.
    fn enhanced_code(&self) -> Option<(u16, u16, u16)> {
        self.lines.iter().find_map(|line| parse_enhanced(line))
    }

    /// Returns the text in lower case, for a search of words. E-mail addresses are left out, since
    /// recipients choose the words in them.
    pub(super) fn text(&self) -> String {
        let words = self.lines.iter().flat_map(|line| line.split_whitespace());
        let words: Vec<String> =
            words.filter(|word| !word.contains('@')).map(str::to_lowercase).collect();
        words.join(" ")
    }
}

/// Returns the enhanced status code at the beginning of a text, also with punctuation around it, as
/// in `#5.1.0` and `5.1.1:`.
fn parse_enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let word = text.split_whitespace().next()?;
    let word = word.trim_matches(|letter: char| letter.is_ascii_punctuation());
    let mut numbers = word.split('.').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<u16>().ok()).flatten()
    });
    let code = (numbers.next()??, numbers.next()??, numbers.next()??);
    (numbers.next().is_none() && matches!(code.0, 2 | 4 | 5)).then_some(code)
}

/// One line of a reply: `250-text`, or `250 text` for the last.
struct Line {
    code: u16,
    is_last: bool,
    text: String,
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let (digits, rest) = line.split_at_checked(3)?;
        let is_code = matches!(digits[0], b'2'..=b'5') && digits.iter().all(u8::is_ascii_digit);
        if !is_code || rest.first().is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        Some(Self {
            code: digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
            is_last: rest.first() != Some(&b'-'),
            text: String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Reply, ReplyError> {
        Reply::read(&mut &*bytes).await
    }

    #[tokio::test]
    async fn three_digits_decide_whatever_follows_them() {
        for bytes in [
            &b"250\r\n"[..],
            b"250 \r\n",
            b"250\n",
            b"250 2.0.0 Nachricht \xfcbernommen\r\n",
            b"250 2.0.0 \x00\xff\xfe\r\n",
            b"250-one\r\n250-\xe9\r\n250 three\r\n",
            b"250-\r\n250\r\n",
        ] {
            let reply = read(bytes).await.unwrap();
            assert!(reply.code == 250 && reply.is_positive(), "{reply:?}");
        }
    }

    #[tokio::test]
    async fn what_does_not_begin_with_three_digits_is_no_reply() {
        for bytes in [&b"SSH-2.0\r\n"[..], b"\r\n", b"25\r\n", b"2500 x\r\n", b"999 x\r\n"] {
            assert!(matches!(read(bytes).await, Err(ReplyError::Garbled)), "{bytes:?}");
        }
        for bytes in [&b""[..], b"250 cut", b"250-more\r\n"] {
            assert!(matches!(read(bytes).await, Err(ReplyError::Lost(_))), "{bytes:?}");
        }
        let endless = b"220-more and more\r\n".repeat(10_000);
        assert!(matches!(read(&endless).await, Err(ReplyError::Garbled)));
    }

    #[tokio::test]
    async fn what_is_shown_of_a_reply_names_no_address() {
        for (line, shown) in [
            ("550 5.1.1 <bob@example.org>: no such user\r\n", "550 5.1.1"),
            ("550 bob@example.org unknown\r\n", "550"),
            ("553 10.0.0.1 is not welcome\r\n", "553"),
            ("554\r\n", "554"),
            ("550-5.1.1 no such user\r\n550 see https://example.org/help\r\n", "550 5.1.1"),
            ("550-Sorry:\r\n550 5.1.1 no such user\r\n", "550 5.1.1"),
            ("550 #5.1.0 Address rejected.\r\n", "550 5.1.0"),
            ("550 5.1.1: no such user\r\n", "550 5.1.1"),
            ("550 5.1.1.1 is no code\r\n", "550"),
        ] {
            assert_eq!(read(line.as_bytes()).await.unwrap().shown(), shown);
        }
    }
}
