//! Locales: BCP 47 language tags.

pub mod language;

use super::{Fault, Language, Length};

/// A well-formed language tag such as `en` or `ko-KR`, stored as entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale(String);

impl Locale {
    /// Longest tag that RFC 5646 section 4.4.1 requires software to support.
    pub const MAX_LENGTH: usize = 35;

    /// Parses a tag.
    pub fn parse(tag: &str) -> Result<Self, Fault> {
        let mut parts = tag.split('-');
        let primary = parts.next().unwrap_or_default();
        let well_formed = (2..=8).contains(&primary.len())
            && primary.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|part| {
                (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        if tag.len() > Self::MAX_LENGTH {
            return Err(Fault::TooLong(Length::Characters(Self::MAX_LENGTH)));
        }
        if well_formed { Ok(Self(tag.to_owned())) } else { Err(Fault::InvalidLocale) }
    }

    /// Returns the best locale of an `Accept-Language` header (RFC 9110 section 12.5.4) with
    /// translated texts, or English.
    pub fn from_accept_language(header: &str) -> Self {
        let mut ranges: Vec<(f32, &str)> = header
            .split(',')
            .take(16)
            .filter_map(|range| {
                let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
                let quality = match parameters.trim().strip_prefix("q=") {
                    Some(q) => q.trim().parse().ok()?,
                    None => 1.0,
                };
                (quality > 0.0).then_some((quality, tag.trim()))
            })
            .collect();
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranges
            .into_iter()
            .filter_map(|(_, tag)| Self::parse(tag).ok())
            .find(|locale| Language::from_tag(locale.as_str()).is_some())
            .unwrap_or_default()
    }

    /// The tag as entered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the language of mail for this locale.
    pub fn language(&self) -> Language {
        Language::from_tag(&self.0).unwrap_or_default()
    }
}

impl Default for Locale {
    fn default() -> Self {
        Self(Language::default().tag().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_language_with_texts_wins() {
        for (header, expected) in [
            ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko-KR"),
            ("fr, ko;q=0.5, en;q=0.4", "ko"),
            ("en;q=0.1, ko;q=0.2", "ko"),
            ("ko;q=0, en", "en"),
            ("fr", "en"),
            ("", "en"),
            ("\u{fffd};;q=x", "en"),
        ] {
            assert_eq!(Locale::from_accept_language(header).as_str(), expected, "{header}");
        }
    }

    #[test]
    fn only_language_tags_pass() {
        for good in ["en", "ko-KR", "zh-Hant-TW", "de-1996"] {
            assert!(Locale::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "e", "en_US", "en-", "-en", "1en", "en-123456789", "english language"] {
            assert_eq!(Locale::parse(bad), Err(Fault::InvalidLocale), "{bad}");
        }
    }
}
