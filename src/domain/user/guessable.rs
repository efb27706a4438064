//! Passwords that attackers try first: entries of a list from breaches, and patterns made of its words,
//! sequences and repetitions.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

/// Common passwords and words in the compared form, sorted, one a line: a search reads a few pages of the
/// binary and nothing is kept on the heap. `scripts/common-passwords` makes it; `NOTICE` names its
/// sources.
static COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");

/// Keys beside each other, and series that people recite. Each goes on at its start.
static SERIES: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    let rows = [
        "1234567890",
        "`1234567890-=",
        "!@#$%^&*()",
        "!\"§$%&/()=",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop",
        "qwertyuiop[]\\",
        "asdfghjkl",
        "asdfghjkl;'",
        "zxcvbnm",
        "zxcvbnm,./",
        "qwertzuiopü",
        "asdfghjklöä",
        "yxcvbnm",
        "azertyuiop",
        "qsdfghjklm",
        "wxcvbn",
        "1qaz",
        "2wsx",
        "3edc",
        "4rfv",
        "5tgb",
        "6yhn",
        "7ujm",
        "8ik,",
        "9ol.",
        "0p;/",
        "1qay",
        "2wsx",
        "1aqw",
        "2zsx",
        "741852963",
        "147258369",
        "13579",
        "24680",
        "йцукенгшщзхъ",
        "фывапролджэ",
        "ячсмитьбю",
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ",
        "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ",
        "ㅋㅌㅊㅍㅠㅜㅡ",
        "가나다라마바사아자차카타파하",
    ];
    rows.iter().map(|row| row.nfkc().collect()).collect()
});

/// Characters that belong to a series only from this length on.
const SHORTEST_RUN: usize = 3;
/// A password that repeats a shorter text than this is refused, whatever the text is.
const SHORTEST_UNIT: usize = 8;
/// Longer texts are not checked for patterns: guessing their length and pattern is work enough, and the
/// check takes longer with each character.
const LONGEST_PATTERN: usize = 64;
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 4..=32;
/// A pattern with no more other characters than this is still a pattern.
const OTHER_CHARACTERS: usize = 2;

/// Returns whether `text`, in the compared form, is a pattern: a repetition, series, or one word of the list
/// with nothing but these and at most two other characters.
pub fn is_pattern(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    chars.len() <= LONGEST_PATTERN
        && (is_repeated(&chars) || is_interleaved(&chars) || is_word_with_series(&chars))
}

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

/// Returns whether a short or guessable unit over and over makes the whole.
fn is_repeated(text: &[char]) -> bool {
    let repeats = |unit: usize| text.chunks(unit).all(|chunk| chunk == &text[..unit]);
    let divisors = (1..=text.len() / 2).filter(|unit| text.len().is_multiple_of(*unit));
    divisors.into_iter().find(|unit| repeats(*unit)).is_some_and(|unit| {
        let repeated: String = text[..unit].iter().collect();
        unit < SHORTEST_UNIT || is_listed(&repeated) || is_pattern(&repeated)
    })
}

/// Returns whether two series take turns, as in `q1w2e3r4t5`.
fn is_interleaved(text: &[char]) -> bool {
    let every_second =
        |from: usize| -> Vec<char> { text.iter().skip(from).step_by(2).copied().collect() };
    let (even, odd) = (every_second(0), every_second(1));
    odd.len() >= SHORTEST_RUN && count_outside_series(&even) == 0 && count_outside_series(&odd) == 0
}

fn is_word_with_series(text: &[char]) -> bool {
    let is_covered = |rest: &[&[char]]| {
        rest.iter().map(|part| count_outside_series(part)).sum::<usize>() <= OTHER_CHARACTERS
    };
    is_covered(&[text])
        || listed_words(text).iter().any(|word| is_covered(&parts_around(text, word)))
}

fn listed_words(text: &[char]) -> BTreeSet<&[char]> {
    let lengths = *WORD_LENGTHS.start()..=text.len().min(*WORD_LENGTHS.end());
    let windows = lengths.flat_map(|length| text.windows(length));
    windows.filter(|window| is_listed(&window.iter().collect::<String>())).collect()
}

/// Returns what is left of `text` without any occurrence of `word`.
fn parts_around<'a>(text: &'a [char], word: &[char]) -> Vec<&'a [char]> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        if text[at..].starts_with(word) {
            parts.push(&text[start..at]);
            at += word.len();
            start = at;
        } else {
            at += 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Counts the characters that belong to no series and no repetition.
fn count_outside_series(text: &[char]) -> usize {
    let (mut at, mut outside) = (0, 0);
    while at < text.len() {
        let run = longest_run(&text[at..]);
        if run >= SHORTEST_RUN {
            at += run;
        } else {
            at += 1;
            outside += 1;
        }
    }
    outside
}

/// Returns the length of the longest series that `text` begins with. Each of its characters may be
/// repeated.
fn longest_run(text: &[char]) -> usize {
    let along = |row: &Vec<char>| {
        let next = |from: char, step: usize| {
            let place = row.iter().position(|it| *it == from)?;
            Some(row[(place + step) % row.len()])
        };
        let back = row.len() - 1;
        run_length(text, |from| next(from, 1)).max(run_length(text, |from| next(from, back)))
    };
    let by_code = |step: i32| run_length(text, |from| char_plus(from, step));
    let codes = [-2, -1, 1, 2].into_iter().map(by_code);
    SERIES.iter().map(along).chain(codes).max().unwrap_or(0)
}

fn run_length(text: &[char], next: impl Fn(char) -> Option<char>) -> usize {
    let goes_on = |pair: &&[char]| pair[1] == pair[0] || Some(pair[1]) == next(pair[0]);
    1 + text.windows(2).take_while(goes_on).count()
}

/// Returns the letter or digit that is `step` code points away from another.
fn char_plus(from: char, step: i32) -> Option<char> {
    let to = u32::from(from).checked_add_signed(step).and_then(char::from_u32)?;
    (from.is_alphanumeric() && to.is_alphanumeric()).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::password::{PasswordPolicy, compared_form};

    #[test]
    fn the_list_is_sorted_and_each_entry_is_found() {
        let entries: Vec<&str> = COMMON_PASSWORDS.lines().collect();
        assert!(entries.is_sorted_by(|a, b| a < b));
        for entry in &entries {
            assert!(is_listed(entry), "{entry}");
            assert_eq!(compared_form(entry), *entry);
        }
        let at_least =
            |length: usize| entries.iter().filter(|it| it.chars().count() >= length).count();
        // The numbers that the documents state.
        assert_eq!((entries.len(), at_least(PasswordPolicy::RECOMMENDED_LENGTH)), (36_867, 9_755));
        for known in
            ["12345678", "password", "iloveyou", "princess", "football", "passwordpassword"]
        {
            assert!(is_listed(known), "{known}");
        }
        for other in ["", "a", "zzzzzzzzzzzzzzzzzz", "correct horse battery staple"] {
            assert!(!is_listed(other), "{other}");
        }
    }

    fn is_guessable(text: &str) -> bool {
        is_listed(text) || is_pattern(text)
    }

    #[test]
    fn series_repetitions_and_words_with_them_are_guessable() {
        for text in [
            "123456789012345",
            "0123456789abcdef",
            "98765432109876543210",
            "aaaaaaaaaaaaaaaa",
            "abababababababab",
            "111222333444555",
            "112233445566778899",
            "135791357913579",
            "password12345678",
            "12345678password",
            "passwordpassword",
            "password password",
            "monkeymonkeymonkey",
            "dragon1234567890",
            "qwertyuiopasdfghjkl",
            "qwertyuiop123456",
            "1qaz2wsx3edc4rfv",
            "zaq1xsw2cde3vfr4",
            "q1w2e3r4t5y6u7i8o9",
            "a1b2c3d4e5f6g7h8",
            "!@#$%^&*()!@#$%^",
            "x7!qx7!qx7!qx7!q",
            "password!!!!!!!!",
            "iloveyouiloveyou1",
            "zyxwvutsrqponmlk",
            "가나다라마바사아자차카타파하",
            "йцукенгшщзхфывапр",
            "        x",
            "lovelovelovelove",
            "aaaabbbbccccdddd",
            "qqwweerrttyyuuii",
            "asdfghjkl;'zxcvbnm",
        ] {
            assert!(is_guessable(&compared_form(text)), "{text}");
        }
    }

    #[test]
    fn phrases_and_random_texts_are_not() {
        for text in [
            "correct horse battery staple",
            "plum tree at dusk",
            "another password of mine",
            "tr0ub4dor&3x!kq",
            "8 quinzy",
            "a lantern on the pier",
            "V7#kq2!mZp94",
            "나는 자전거를 탄다",
            "monkey dragon wagon",
            "secret-of-mina",
            "x7!q-x7!q-kk",
            "2026-11-29 at noon",
        ] {
            assert!(!is_guessable(&compared_form(text)), "{text}");
        }
    }

    #[test]
    fn long_texts_are_not_checked_for_patterns() {
        assert!(is_pattern(&"x".repeat(64)));
        assert!(!is_pattern(&"x".repeat(65)));
    }
}
