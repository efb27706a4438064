//! The character sets that a body may declare (`; charset=`), by Python's names.

use encoding_rs::{DecoderResult, Encoding};

/// Encodings of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, where a byte order mark is an ordinary character.
    Utf8,
    /// UTF-8, where a byte order mark is skipped.
    Utf8WithMark,
    /// ISO 8859-1: every byte is the character of its code.
    Latin1,
    /// US-ASCII.
    Ascii,
    /// UTF-16; without a declared order, by the mark, or little-endian.
    Utf16(Option<ByteOrder>),
    /// UTF-32, little-endian with or without a mark, as `"utf-32"` of Python encodes on most
    /// machines.
    Utf32,
    /// An older one, from the table of the WHATWG.
    Other(&'static Encoding),
}

/// Byte orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Little-endian.
    Little,
    /// Big-endian.
    Big,
}

impl Charset {
    /// Returns the charset of this name, in any letter case. Separators do not count, as in Python,
    /// which has names of its own beside those of the WHATWG.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let parts = name.split(|character: char| !character.is_ascii_alphanumeric());
        let joined = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        Some(match joined.as_str() {
            "utf-8" | "utf8" | "utf" | "u8" | "cp65001" => Self::Utf8,
            "utf-8-sig" => Self::Utf8WithMark,
            // Not windows-1252, which the WHATWG means by these names.
            "iso-8859-1" | "iso8859-1" | "iso8859" | "8859" | "cp819" | "latin" | "latin-1"
            | "latin1" | "l1" | "csisolatin1" | "ibm819" | "iso-ir-100" | "iso-8859-1-1987" => {
                Self::Latin1
            }
            "ascii" | "us-ascii" | "646" | "ansi-x3-4-1968" => Self::Ascii,
            "utf-16" | "utf16" | "u16" => Self::Utf16(None),
            "utf-16le" | "utf-16-le" => Self::Utf16(Some(ByteOrder::Little)),
            "utf-16be" | "utf-16-be" => Self::Utf16(Some(ByteOrder::Big)),
            "utf-32" | "utf32" | "u32" => Self::Utf32,
            "cp949" | "949" | "ms949" | "uhc" | "euckr" => Self::Other(encoding_rs::EUC_KR),
            "cp932" | "932" | "s-jis" => Self::Other(encoding_rs::SHIFT_JIS),
            "cp936" | "936" | "ms936" => Self::Other(encoding_rs::GBK),
            "cp950" | "950" | "ms950" => Self::Other(encoding_rs::BIG5),
            _ => Self::Other(
                Encoding::for_label(name.as_bytes())
                    .or_else(|| Encoding::for_label(joined.as_bytes()))?,
            ),
        })
    }

    /// Returns the text, or the fault of the bytes.
    pub fn decode(self, bytes: &[u8]) -> Result<String, &'static str> {
        match self {
            Self::Utf8 => utf8(bytes),
            Self::Utf8WithMark => utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
            Self::Latin1 => Ok(latin1(bytes)),
            Self::Ascii if bytes.is_ascii() => Ok(latin1(bytes)),
            Self::Ascii => Err("'ascii' codec can't decode: ordinal not in range(128)"),
            Self::Utf16(order) => utf16(bytes, order),
            Self::Utf32 => utf32(bytes),
            Self::Other(encoding) => strictly(encoding, bytes),
        }
    }

    /// Returns the text, with U+FFFD in place of invalid bytes.
    pub fn decode_lossy(self, bytes: &[u8]) -> String {
        match self.decode(bytes) {
            Ok(text) => text,
            Err(_) => match self {
                Self::Other(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
                _ => String::from_utf8_lossy(bytes).into_owned(),
            },
        }
    }

    /// Returns a text whose percent escapes are bytes in this charset.
    pub fn unescape(self, text: &str) -> String {
        if !text.contains('%') {
            return text.to_owned();
        }
        // Other characters than ASCII are no escapes: they were decoded with the whole.
        text.as_bytes()
            .chunk_by(|one, other| one.is_ascii() == other.is_ascii())
            .map(|run| {
                let bytes: Vec<u8> = percent_encoding::percent_decode(run).collect();
                let charset = if run.is_ascii() { self } else { Self::Utf8 };
                charset.decode_lossy(&bytes)
            })
            .collect()
    }
}

/// Returns each byte as the character of its code.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn utf8(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "'utf-8' codec can't decode the body")?;
    Ok(text.to_owned())
}

fn utf16(bytes: &[u8], order: Option<ByteOrder>) -> Result<String, &'static str> {
    const BROKEN: &str = "'utf-16' codec can't decode the body";
    let (order, bytes) = match (order, bytes) {
        (Some(order), _) => (order, bytes),
        (None, [0xfe, 0xff, rest @ ..]) => (ByteOrder::Big, rest),
        (None, [0xff, 0xfe, rest @ ..]) => (ByteOrder::Little, rest),
        (None, _) => (ByteOrder::Little, bytes),
    };
    let (pairs, []) = bytes.as_chunks::<2>() else { return Err(BROKEN) };
    let units = pairs.iter().map(|&pair| match order {
        ByteOrder::Little => u16::from_le_bytes(pair),
        ByteOrder::Big => u16::from_be_bytes(pair),
    });
    char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| BROKEN)
}

fn utf32(bytes: &[u8]) -> Result<String, &'static str> {
    const BROKEN: &str = "'utf-32' codec can't decode the body";
    let bytes = bytes.strip_prefix(&[0xff, 0xfe, 0, 0]).unwrap_or(bytes);
    let (fours, []) = bytes.as_chunks::<4>() else { return Err(BROKEN) };
    let characters = fours.iter().map(|four| char::from_u32(u32::from_le_bytes(*four)));
    characters.collect::<Option<_>>().ok_or(BROKEN)
}

fn strictly(encoding: &'static Encoding, bytes: &[u8]) -> Result<String, &'static str> {
    const BROKEN: &str = "the body is not in the charset it declares";
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).ok_or(BROKEN)?;
    let mut text = String::with_capacity(room);
    match decoder.decode_to_string_without_replacement(bytes, &mut text, true) {
        (DecoderResult::InputEmpty, _) => Ok(text),
        _ => Err(BROKEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(name: &str, bytes: &[u8]) -> Option<String> {
        Charset::named(name).and_then(|charset| charset.decode(bytes).ok())
    }

    #[test]
    fn every_family_decodes() {
        for (name, bytes, text) in [
            ("UTF-8", &b"\xc3\xa9"[..], "é"),
            ("utf-8-sig", b"\xef\xbb\xbfa", "a"),
            ("ISO-8859-1", b"\xe9\x80", "é\u{80}"),
            ("us-ascii", b"a", "a"),
            ("utf-16", b"\xff\xfea\0", "a"),
            ("utf-16", b"\xfe\xff\0a", "a"),
            ("utf-16be", b"\0a", "a"),
            ("utf-32", b"a\0\0\0", "a"),
            ("euc-kr", b"\xc7\xd1", "한"),
            ("windows-1252", b"\x80", "€"),
            ("iso8859_1", b"\xe9\x80", "é\u{80}"),
            ("ISO 8859-1", b"\xe9\x80", "é\u{80}"),
            ("l1", b"\x80", "\u{80}"),
            ("UTF_8", b"\xc3\xa9", "é"),
            ("utf16", b"\xff\xfea\0", "a"),
            ("utf_16_be", b"\0a", "a"),
            ("CP949", b"\xc7\xd1\x8c\x63", "한똠"),
            ("euc_kr", b"\xc7\xd1", "한"),
            ("ks_c_5601-1987", b"\xc7\xd1", "한"),
            ("cp932", b"\x82\xa0", "あ"),
            ("iso8859_15", b"\xa4", "€"),
        ] {
            assert_eq!(decoded(name, bytes).as_deref(), Some(text), "{name}");
        }
    }

    #[test]
    fn broken_bytes_are_an_error() {
        for (name, bytes) in [
            ("utf-8", &b"\xff"[..]),
            ("ascii", b"\xe9"),
            ("646", b"\xe9"),
            ("utf-16", b"a"),
            ("utf-16le", b"\0\xd8"),
            ("utf-32", b"\0\xd8\0\0"),
            ("euc-kr", b"\xc7"),
        ] {
            assert_eq!(decoded(name, bytes), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_no_charset() {
        assert_eq!(Charset::named("nonsense"), None);
        assert_eq!(Charset::named(""), None);
        assert_eq!(Charset::named(" - "), None);
    }
}
