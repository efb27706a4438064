//! Words of passwords: a list from breaches, and words of many languages.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Common passwords and words in the compared form, sorted, one a line: a search reads a few pages
/// of the binary and nothing is kept on the heap. `scripts/common-passwords` makes it; `NOTICE`
/// names its sources.
pub(super) static COMMON_PASSWORDS: &str = include_str!("../common_passwords.txt");

/// Words of other languages than English.
static WORDS_OF_LANGUAGES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("../words_of_languages.txt").lines();
    lines.filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect()
});

/// Words that are too short for a list, in phrases.
const SHORT_WORDS: [&str; 54] = [
    "my", "mi", "me", "te", "tu", "je", "the", "mon", "ma", "mes", "eu", "ich", "du", "ist", "il",
    "la", "le", "el", "los", "un", "una", "and", "und", "et", "of", "to", "is", "in", "at", "no",
    "you", "for", "mój", "moj", "min", "nie", "wo", "ni", "mij", "ik", "van", "het", "der", "die",
    "das", "мой", "моя", "мне", "и", "я", "ты", "내", "我", "的",
];

/// Returns whether `text`, in the compared form, is on the list.
pub fn is_listed(text: &str) -> bool {
    // A binary search on the text itself: no table is built at start-up.
    let list = COMMON_PASSWORDS;
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = list.floor_char_boundary(usize::midpoint(low, high));
        let start = list[low..middle].rfind('\n').map_or(low, |at| low + at + 1);
        let end = list[middle..high].find('\n').map_or(high, |at| middle + at);
        match list[start..end].cmp(text) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start.saturating_sub(1),
        }
    }
    false
}

/// Returns whether `text` is a word, also with digits and signs in place of letters.
pub(super) fn is_word(text: &[char]) -> bool {
    let is_known = |text: &str| is_listed(text) || WORDS_OF_LANGUAGES.contains(text);
    let plain: String = text.iter().collect();
    let is_written_otherwise = || {
        let has_letters = text.iter().any(|c| c.is_alphabetic());
        has_letters
            && text.iter().any(|c| letter_of(*c, 'i') != *c)
            && ['i', 'l']
                .into_iter()
                .any(|one| is_known(&text.iter().map(|c| letter_of(*c, one)).collect::<String>()))
    };
    is_known(&plain) || is_written_otherwise()
}

/// Returns whether `text` is one of the words that are too short for the list.
pub(super) fn is_short_word(text: &[char]) -> bool {
    SHORT_WORDS.iter().any(|word| word.chars().eq(text.iter().copied()))
}

/// Returns whether a character is part of a word: a letter, a digit, or a sign that stands for a
/// letter.
pub(super) fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '@' | '$')
}

/// Returns the letter that a character stands for in words such as `p4$$w0rd`; `one` is that of a
/// `1`.
fn letter_of(character: char, one: char) -> char {
    match character {
        '4' | '@' => 'a',
        '8' => 'b',
        '3' => 'e',
        '9' | '6' => 'g',
        '1' | '!' | '|' => one,
        '0' => 'o',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '2' => 'z',
        other => other,
    }
}
