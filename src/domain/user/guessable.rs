//! Passwords that attackers try first: entries of a list from breaches, and patterns made of its
//! words, sequences and repetitions.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

/// Common passwords and words in the compared form, sorted, one a line: a search reads a few pages
/// of the binary and nothing is kept on the heap. `scripts/common-passwords` makes it; `NOTICE`
/// names its sources.
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
/// A unit of digits is guessable up to this length: a date.
const LONGEST_DATE: usize = 10;
/// Longer texts are checked for repetitions and series only: to look for words takes longer with
/// each character.
const LONGEST_WITH_WORDS: usize = 64;
/// The characters of a secret that are looked at.
const LONGEST_SECRET: usize = 256;
/// Series that take turns may have other characters from this length on.
const LONG_INTERLEAVED: usize = 12;
/// Words that are refused without separators: attackers combine as many.
const COMBINED_WORDS: usize = 3;
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 4..=32;
const SEPARATORS: usize = 2;
/// A pattern with no more other characters than this is still a pattern.
const OTHER_CHARACTERS: usize = 2;

/// "Password" in other languages: the list is of mostly English texts.
const PASSWORD_WORDS: [&str; 20] = [
    "пароль",
    "парола",
    "hasło",
    "hasło1",
    "heslo",
    "contraseña",
    "contrasena",
    "motdepasse",
    "passwort",
    "kennwort",
    "wachtwoord",
    "lozinka",
    "jelszó",
    "salasana",
    "şifre",
    "lösenord",
    "adgangskode",
    "비밀번호",
    "パスワード",
    "κωδικός",
];

/// Digits and phrases that people recite from the start.
const RECITED: [&str; 5] = [
    "3141592653589793238462643383279502884197169399375105820974944592",
    "2718281828459045235360287471352662497757247093699959574966967627",
    "1123581321345589144233377610987159725844181676510946",
    "thequickbrownfoxjumpsoverthelazydog",
    "correcthorsebatterystaple",
];

/// Returns whether `text`, in the compared form, is a pattern: a repetition, series, or few words
/// of the list with nothing but these and at most two other characters. Separators between parts of
/// one length, and doubled characters, make no other text of it.
pub fn is_pattern(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    is_plain_pattern(&chars)
        || without_separators(&chars).is_some_and(|it| is_listed_or_pattern(&it))
        || undoubled(&chars).is_some_and(|it| is_listed_or_pattern(&it))
}

fn is_listed_or_pattern(text: &[char]) -> bool {
    is_word(text) || is_plain_pattern(text)
}

fn is_plain_pattern(text: &[char]) -> bool {
    if text.len() > LONGEST_WITH_WORDS {
        return false;
    }
    is_repeated(text)
        || is_interleaved(text)
        || is_recited(text)
        || is_word_with_series(text)
        || is_combination(text)
}

fn is_recited(text: &[char]) -> bool {
    let start: String = text.iter().collect();
    text.len() >= SHORTEST_UNIT && RECITED.iter().any(|it| it.starts_with(&start))
}

fn is_word(text: &[char]) -> bool {
    let text: String = text.iter().collect();
    is_listed(&text) || PASSWORD_WORDS.contains(&text.as_str())
}

/// Returns `text` without what is between its letters and digits, if its parts are single
/// characters or repeat each other. More than two kinds of separators are no separators, but part
/// of the secret.
fn without_separators(text: &[char]) -> Option<Vec<char>> {
    let separators: HashSet<char> = text.iter().copied().filter(|c| !c.is_alphanumeric()).collect();
    if separators.len() > SEPARATORS {
        return None;
    }
    let parts: Vec<&[char]> =
        text.split(|c| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let different: HashSet<&[char]> = parts.iter().copied().collect();
    let is_spaced_out = parts.iter().all(|part| part.len() == 1);
    let is_repeated = different.len() <= 2 && different.len() < parts.len();
    (parts.len() > 1 && (is_spaced_out || is_repeated)).then(|| parts.concat())
}

/// Returns every second character, if each is there twice.
fn undoubled(text: &[char]) -> Option<Vec<char>> {
    let is_doubled = text.len() >= SHORTEST_UNIT
        && text.chunks(2).all(|pair| pair.len() == 2 && pair[0] == pair[1]);
    is_doubled.then(|| text.iter().step_by(2).copied().collect())
}

/// Returns how much of `text` a guesser has to find out, in characters: a word of the list counts
/// for two, a series and what was there before for one, a repeated separator and a word of `known`
/// for none.
pub fn count_unknown(text: &str, known: &[&str]) -> usize {
    let text: Vec<char> = text.chars().take(LONGEST_SECRET).collect();
    let mut fewest = vec![usize::MAX; text.len() + 1];
    fewest[0] = 0;
    for at in 0..text.len() {
        let (before, rest) = text.split_at(at);
        let is_separator = !rest[0].is_alphanumeric() && before.contains(&rest[0]);
        let mut reach = |length: usize, cost: usize| {
            fewest[at + length] = fewest[at + length].min(fewest[at] + cost);
        };
        reach(1, usize::from(!is_separator));
        let run = longest_run(rest);
        if run >= SHORTEST_RUN {
            reach(run, 1);
        }
        for word in known.iter().map(|word| word.chars().collect::<Vec<char>>()) {
            if rest.starts_with(&word) {
                reach(word.len(), 0);
            }
        }
        for length in *WORD_LENGTHS.start()..=rest.len().min(*WORD_LENGTHS.end()) {
            if before.windows(length).any(|earlier| earlier == &rest[..length]) {
                reach(length, 1);
            } else if is_word(&rest[..length]) {
                reach(length, 2);
            }
        }
    }
    fewest[text.len()]
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

/// Returns whether a short or guessable unit over and over makes the whole. The last one may be cut
/// off; the unit is there one and a half times at least.
fn is_repeated(text: &[char]) -> bool {
    let repeats = |unit: &usize| text.chunks(*unit).all(|chunk| text.starts_with(chunk));
    (1..=text.len() * 2 / 3).find(repeats).is_some_and(|unit| {
        let repeated = &text[..unit];
        let is_date = unit <= LONGEST_DATE && repeated.iter().all(char::is_ascii_digit);
        unit < SHORTEST_UNIT || is_date || is_listed_or_pattern(repeated)
    })
}

/// Returns whether two series take turns, as in `q1w2e3r4t5`. Of a long text a quarter may be
/// outside.
fn is_interleaved(text: &[char]) -> bool {
    let every_second =
        |from: usize| -> Vec<char> { text.iter().skip(from).step_by(2).copied().collect() };
    let (even, odd) = (every_second(0), every_second(1));
    let others = if text.len() < LONG_INTERLEAVED { 0 } else { text.len() / 4 };
    odd.len() >= SHORTEST_RUN && count_outside_series(&even) + count_outside_series(&odd) <= others
}

/// Returns whether at most three words of the list follow each other and make the whole, or two
/// with nothing but series and at most two other characters, without separators.
fn is_combination(text: &[char]) -> bool {
    if !text.iter().all(|c| c.is_alphanumeric()) {
        return false;
    }
    // The fewest other characters of a beginning of the text, by its length and the number of its
    // words.
    let mut fewest = vec![[usize::MAX; COMBINED_WORDS + 1]; text.len() + 1];
    fewest[0][0] = 0;
    for at in 0..text.len() {
        let here = fewest[at];
        let run = longest_run(&text[at..]);
        let mut reach = |end: usize, more_words: usize, more_others: usize| {
            for (words, others) in here.iter().enumerate() {
                if *others != usize::MAX && words + more_words <= COMBINED_WORDS {
                    let best = &mut fewest[end][words + more_words];
                    *best = (*best).min(others + more_others);
                }
            }
        };
        reach(at + 1, 0, 1);
        if run >= SHORTEST_RUN {
            reach(at + run, 0, 0);
        }
        let longest = (text.len() - at).min(*WORD_LENGTHS.end());
        for length in *WORD_LENGTHS.start()..=longest {
            let word = &text[at..at + length];
            if is_word(word) {
                let times = text[at..].chunks(length).take_while(|it| *it == word).count();
                (1..=times).for_each(|times| reach(at + times * length, 1, 0));
            }
        }
    }
    let [_, one, two, three] = fewest[text.len()];
    one.min(two) <= OTHER_CHARACTERS || three == 0
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
    windows.filter(|window| is_word(window)).collect()
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
            "monkey-monkey-monkey",
            "batmanbatmanbat",
            "x7!qx7!qx7!",
            "p a s s w o r d 1 2 3",
            "p.a.s.s.w.o.r.d.1.2",
            "monkeymonkeydragondragon",
            "passwordmonkey123",
            "monkeydragonmonkey",
            "correcthorsebatterystaple",
            "thequickbrownfox",
            "пароль123456789",
            "hasło12345678901",
            "31415926535897932384",
            "aa11bb22cc33dd44",
            "q1w2e3r4t5y6q1w2",
            "01011990010119900101",
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
            "engines weave algebra",
            "quartzlanternpivotmosaic",
            "wobblyzeppelinharborfjord",
            "kx9vkx9wquartzbee",
            "f3a9c07b5d21e8f4",
            "\u{d7}\u{10655c}\u{9b}·o\u{90}\u{311da}\u{80}\u{f}",
            "o×·o#o",
        ] {
            assert!(!is_guessable(&compared_form(text)), "{text}");
        }
    }
}
