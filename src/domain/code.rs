//! Parsing of the six-digit codes of mails, as users type and paste them.

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

/// Parses a code. Decimal digits of every script are accepted; white space, hyphens and invisible
/// characters between them are ignored.
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

/// Hyphens and dashes of every script (general category Pd of Unicode 17), minus signs, and their
/// usual replacements.
#[rustfmt::skip]
const DASHES: [(char, char); 24] = [
    ('-', '-'), ('\u{58a}', '\u{58a}'), ('\u{5be}', '\u{5be}'), ('\u{1400}', '\u{1400}'),
    ('\u{1806}', '\u{1806}'), ('\u{2010}', '\u{2015}'), ('\u{2043}', '\u{2043}'),
    ('\u{207b}', '\u{207b}'), ('\u{208b}', '\u{208b}'), ('\u{2212}', '\u{2212}'),
    ('\u{2e17}', '\u{2e17}'), ('\u{2e1a}', '\u{2e1a}'), ('\u{2e3a}', '\u{2e3b}'),
    ('\u{2e40}', '\u{2e40}'), ('\u{2e5d}', '\u{2e5d}'), ('\u{301c}', '\u{301c}'),
    ('\u{3030}', '\u{3030}'), ('\u{30a0}', '\u{30a0}'), ('\u{30fc}', '\u{30fc}'),
    ('\u{fe31}', '\u{fe32}'), ('\u{fe58}', '\u{fe58}'), ('\u{fe63}', '\u{fe63}'),
    ('\u{ff0d}', '\u{ff0d}'), ('\u{10ead}', '\u{10ead}'),
];
/// Invisible characters (`Default_Ignorable_Code_Point` of Unicode 17): soft hyphens, zero-width
/// characters, marks of direction, variation selectors; and the key around a digit.
#[rustfmt::skip]
const IGNORED: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'), ('\u{34f}', '\u{34f}'), ('\u{61c}', '\u{61c}'), ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'), ('\u{180b}', '\u{180f}'), ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'), ('\u{2060}', '\u{206f}'), ('\u{20e3}', '\u{20e3}'),
    ('\u{3164}', '\u{3164}'), ('\u{fe00}', '\u{fe0f}'), ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'), ('\u{fff0}', '\u{fff8}'), ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'), ('\u{e0000}', '\u{e0fff}'),
];

/// Removes white space and invisible characters at both ends of a text that was typed or pasted.
pub fn trim_typed(text: &str) -> &str {
    text.trim_matches(|it: char| it.is_whitespace() || is_of(&IGNORED, it))
}

fn is_of(ranges: &[(char, char)], character: char) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// Returns whether `character` is white space, a hyphen, a dash, or an invisible character that
/// mail programs and keyboards add.
fn is_separator(character: char) -> bool {
    character.is_whitespace() || is_of(&DASHES, character) || is_of(&IGNORED, character)
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
            "\u{61c}123456\u{61c}",
            "1\u{fe0f}\u{20e3}2\u{fe0f}\u{20e3}3456",
            "123\u{180e}456",
            "123\u{2064}456",
            "123\u{5be}456",
            "123\u{58a}456",
            "123\u{2043}456",
            "１２３\u{301c}４５６",
            "１２３\u{30fc}４５６",
            "123\u{e0020}456\u{3164}",
        ] {
            assert_eq!(parse_code(text).unwrap().expose(), "123456", "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_a_fault() {
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
