//! The six digits of a mail, as people type and paste them.

use super::{Fault, PlainToken};

/// Digits in a code.
const DIGITS: usize = 6;

/// The zeros of all decimal digits (general category Nd of Unicode 17). The digits one to nine
/// follow each of them.
#[rustfmt::skip]
const ZEROS: [u32; 76] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450,
    0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50,
    0x11D50, 0x11DA0, 0x11DE0, 0x11F50, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE,
    0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];

/// Reads a code in ASCII digits. Decimal digits of every script count; white space, hyphens and
/// invisible characters between them do not.
///
/// # Errors
/// [`Fault::InvalidFormat`] for a text that cannot be a code.
pub fn parse_code(text: &str) -> Result<PlainToken, Fault> {
    let digits: Option<String> = text.chars().filter(|it| !is_separator(*it)).map(digit).collect();
    match digits {
        Some(digits) if digits.len() == DIGITS => Ok(PlainToken::presented(digits)),
        _ => Err(Fault::InvalidFormat),
    }
}

/// The ASCII form of a decimal digit.
fn digit(character: char) -> Option<char> {
    let code_point = u32::from(character);
    let next_zero = ZEROS.partition_point(|zero| *zero <= code_point);
    let zero = ZEROS[..next_zero].last()?;
    char::from_digit(code_point - zero, 10)
}

/// White space, hyphens and dashes, and what mail programs add without showing it: soft hyphens,
/// zero-width characters and marks of direction.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '-' | '\u{ad}'
                | '\u{2010}'..='\u{2015}'
                | '\u{2212}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_every_script_are_digits() {
        assert!(ZEROS.is_sorted());
        for zero in ZEROS {
            let digits: Vec<char> =
                (zero..zero + 10).map(|it| char::from_u32(it).unwrap()).collect();
            assert!(digits.iter().all(|it| it.is_numeric()), "{zero:x}");
            let read: Vec<_> = digits.into_iter().map(digit).collect();
            assert_eq!(read, ('0'..='9').map(Some).collect::<Vec<_>>(), "{zero:x}");
        }
    }

    #[test]
    fn what_stands_between_the_digits_does_not_count() {
        for text in [
            "123456",
            " 123 456\n",
            "123-456",
            "12-34-56",
            "1 2 3 4 5 6",
            "123\u{2013}456",
            "123\u{a0}456",
            "１２３４５６",
            "１２３－４５６",
            "１２３　４５６",
            "١٢٣٤٥٦",
            "۱۲۳۴۵۶",
            "१२३456",
            "\u{200e}123456\u{200f}",
            "\u{feff}123\u{ad}456",
            "𝟏𝟐𝟑𝟜𝟝𝟞",
        ] {
            assert_eq!(parse_code(text).unwrap().expose(), "123456", "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_told() {
        for text in [
            "",
            " ",
            "-",
            "12345",
            "1234567",
            "12345a",
            "abcdef",
            "12.3456",
            "１２３４５",
            "½23456",
            "②23456",
            "Ⅵ23456",
            "一二三四五六",
            "+123456",
            "123456\0",
            "12345\u{1d7ff}6",
        ] {
            assert_eq!(parse_code(text).unwrap_err(), Fault::InvalidFormat, "{text:?}");
        }
    }
}
