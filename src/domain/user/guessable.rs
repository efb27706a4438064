//! Passwords that attackers try first: entries of a list from breaches, and patterns made of its
//! words, sequences and repetitions.

mod series;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeSet, HashSet};

use series::{
    SHORTEST_RUN, count_outside_series, is_interleaved, is_repeated, longest_run, unshifted,
};
pub use words::is_listed;
use words::{is_of_word, is_short_word, is_word};

/// A repetition of a text shorter than this is refused, whatever the text is.
const SHORTEST_UNIT: usize = 8;
/// A unit of digits is guessable up to this length: a date.
const LONGEST_DATE: usize = 10;
/// Longer texts are checked for repetitions and series only: the time to search for words grows
/// with each character.
const LONGEST_WITH_WORDS: usize = 64;
/// Number of characters of a secret that are checked.
const LONGEST_SECRET: usize = 256;
/// Words that are refused without separators: attackers combine as many.
const COMBINED_WORDS: usize = 3;
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 4..=32;
const SHORT_WORD_LENGTHS: std::ops::RangeInclusive<usize> = 1..=3;
const SEPARATORS: usize = 2;
/// A pattern with no more other characters than this is still a pattern.
const OTHER_CHARACTERS: usize = 2;

/// Returns whether `text`, in the compared form, is a pattern: a repetition, series, or few words
/// of the lists with nothing but these and at most two other characters. Separators, the shift key
/// and doubled characters are ignored in series and repetitions. In words, separators are ignored
/// between parts of one length, or parts that repeat each other. A word that is repeated or
/// mirrored may have more characters between and around its letters.
pub fn is_pattern(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let is_one = |text: &[char]| {
        is_plain_pattern(text)
            || doubled_word(text)
                .is_some_and(|(word, _)| word.len() < SHORTEST_UNIT || is_word(&word))
            || without_separators(text).is_some_and(|(joined, may_be_words)| {
                is_sequence(&joined)
                    || is_word(&joined)
                    || may_be_words && is_listed_or_pattern(&joined)
            })
            || undoubled(text).is_some_and(|it| is_listed_or_pattern(&it))
    };
    is_one(&chars) || unshifted(&chars).is_some_and(|it: Vec<char>| is_one(&it))
}

fn is_listed_or_pattern(text: &[char]) -> bool {
    is_word(text) || is_plain_pattern(text)
}

fn is_plain_pattern(text: &[char]) -> bool {
    is_sequence(text)
        || (text.len() <= LONGEST_WITH_WORDS && (is_word_with_series(text) || is_combination(text)))
}

/// Returns whether `text`, of any length, is a repetition or made of series.
fn is_sequence(text: &[char]) -> bool {
    let is_guessable = |unit: &[char]| {
        let is_date = unit.len() <= LONGEST_DATE && unit.iter().all(char::is_ascii_digit);
        let is_spaced = || without_separators(unit).is_some_and(|(it, _)| is_sequence(&it));
        is_date || is_listed_or_pattern(unit) || is_spaced()
    };
    is_repeated(text, SHORTEST_UNIT, is_guessable)
        || is_interleaved(text)
        || (text.len() >= SHORTEST_UNIT && count_outside_series(text) <= OTHER_CHARACTERS)
}

/// Returns `text` without the characters between its letters and digits, and whether the rest may
/// be words: its parts are single characters, or repeat each other. More than two kinds of
/// separators count as part of the secret.
fn without_separators(text: &[char]) -> Option<(Vec<char>, bool)> {
    let separators: HashSet<char> = text.iter().copied().filter(|c| !c.is_alphanumeric()).collect();
    if separators.len() > SEPARATORS {
        return None;
    }
    let parts: Vec<&[char]> =
        text.split(|c| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let different: HashSet<&[char]> = parts.iter().copied().collect();
    let is_spaced_out = parts.iter().all(|part| part.len() == 1);
    let is_repeated = different.len() <= 2 && different.len() < parts.len();
    (parts.len() > 1).then(|| (parts.concat(), is_spaced_out || is_repeated))
}

/// Returns the word that the letters of `text` repeat or mirror, and how often it is there. Between
/// and around its letters are at most half as many other characters.
pub fn doubled_word(text: &[char]) -> Option<(Vec<char>, usize)> {
    let letters: Vec<char> = text.iter().copied().filter(|c| c.is_alphabetic()).collect();
    let others = text.len() - letters.len();
    if letters.len() < SHORTEST_UNIT || others > letters.len() / 2 {
        return None;
    }
    let repeats = |unit: &usize| {
        letters.len().is_multiple_of(*unit)
            && letters.chunks(*unit).all(|chunk| letters.starts_with(chunk))
    };
    if let Some(unit) = (1..=letters.len() / 2).find(repeats) {
        return Some((letters[..unit].to_vec(), letters.len() / unit));
    }
    let is_mirrored = letters.iter().eq(letters.iter().rev());
    is_mirrored.then(|| (letters[letters.len() / 2..].to_vec(), 2))
}

/// Returns every second character, if each is there twice.
fn undoubled(text: &[char]) -> Option<Vec<char>> {
    let is_doubled = text.len() >= SHORTEST_UNIT
        && text.chunks(2).all(|pair| pair.len() == 2 && pair[0] == pair[1]);
    is_doubled.then(|| text.iter().step_by(2).copied().collect())
}

/// Returns how much of `text` a guesser has to find out, in characters. A word of the list counts
/// for two. A series, and a part that occurred before, counts for one. A repeated separator and a
/// word of `known` count for none.
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

/// Returns whether at most three words of the list make up the whole without separators, or two
/// with nothing but series and at most two other characters.
fn is_combination(text: &[char]) -> bool {
    if !text.iter().all(|c| is_of_word(*c)) {
        return false;
    }
    // The fewest other characters of a prefix of the text, by its length and the number of its
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
        for length in SHORT_WORD_LENGTHS {
            if text.get(at..at + length).is_some_and(is_short_word) {
                reach(at + length, 0, 1);
            }
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
    listed_words(text).iter().any(|word| is_covered(&parts_around(text, word)))
}

fn listed_words(text: &[char]) -> BTreeSet<&[char]> {
    let lengths = *WORD_LENGTHS.start()..=text.len().min(*WORD_LENGTHS.end());
    let windows = lengths.flat_map(|length| text.windows(length));
    windows.filter(|window| is_word(window)).collect()
}

/// Returns the parts of `text` around the occurrences of `word`.
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
