//! Languages of mails and pages.

/// A language with translated texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English, also the fallback.
    #[default]
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// Every language, for tables of templates.
    pub const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// The tag of BCP 47, as stored and as used for template folders.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language of a BCP 47 tag (`ko`, `ko-KR`), if there are texts for it.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }
}
