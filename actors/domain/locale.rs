//! A language tag: `pt`, `pt-BR`, `zh-Hant-TW`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest accepted tag, in characters: RFC 5646 asks for room for 35.
const TAG_MAX: usize = 35;

/// A language tag in its canonical spelling (`PT_br` becomes `pt-BR`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale(Box<str>);

/// The text is not a language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Enter a language's tag, such as pt or pt-BR.")]
pub struct NotALocale;

impl Locale {
    /// English: the language of last resort.
    #[must_use]
    pub fn english() -> Self {
        Self("en".into())
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag itself, its parents (`pt` for `pt-BR`), and finally English: where to look for a
    /// text, the best match first.
    pub fn nearest(&self) -> impl Iterator<Item = &str> {
        fn parent<'t>(tag: &&'t str) -> Option<&'t str> {
            tag.rsplit_once('-').map(|(parent, _)| parent)
        }
        let own = std::iter::successors(Some(self.as_str()), parent);
        let is_english = self.as_str() == "en" || self.as_str().starts_with("en-");
        own.chain((!is_english).then_some("en"))
    }
}

impl std::str::FromStr for Locale {
    type Err = NotALocale;

    fn from_str(text: &str) -> Result<Self, NotALocale> {
        if text.len() > TAG_MAX {
            return Err(NotALocale);
        }
        let mut parts = text.split(['-', '_']);
        let language = parts.next().unwrap_or_default();
        let is_language = (2..=3).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_alphabetic());
        let mut tag = language.to_ascii_lowercase();
        for part in parts {
            let is_part = (1..=8).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_part {
                return Err(NotALocale);
            }
            tag.push('-');
            tag.push_str(&spelled(part));
        }
        if is_language { Ok(Self(tag.into())) } else { Err(NotALocale) }
    }
}

/// Regions are written `BR`, scripts `Hant`, all else in small letters.
fn spelled(part: &str) -> String {
    let is_word = part.bytes().all(|byte| byte.is_ascii_alphabetic());
    match (part.len(), is_word) {
        (2, true) => part.to_ascii_uppercase(),
        (4, true) => {
            let (head, tail) = part.split_at(1);
            head.to_ascii_uppercase() + &tail.to_ascii_lowercase()
        }
        _ => part.to_ascii_lowercase(),
    }
}

impl TryFrom<String> for Locale {
    type Error = NotALocale;

    fn try_from(text: String) -> Result<Self, NotALocale> {
        text.parse()
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.0.into()
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_spelling() {
        for (written, wanted) in [
            ("en", "en"),
            ("PT_br", "pt-BR"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-CH-1996", "de-CH-1996"),
            ("ast", "ast"),
        ] {
            assert_eq!(written.parse::<Locale>().unwrap().as_str(), wanted);
        }
        let long = format!("en-{}", "abcdefgh-".repeat(4));
        for bad in ["", "e", "engl", "en-", "-en", "en--US", "e1", "en-ü", "en/US", "..", &long] {
            assert_eq!(bad.parse::<Locale>(), Err(NotALocale), "{bad}");
        }
    }

    #[test]
    fn the_nearest_comes_first_and_english_last() {
        for (tag, wanted) in [
            ("zh-Hant-TW", &["zh-Hant-TW", "zh-Hant", "zh", "en"][..]),
            ("pt", &["pt", "en"]),
            ("en-GB", &["en-GB", "en"]),
            ("en", &["en"]),
        ] {
            let locale: Locale = tag.parse().unwrap();
            assert_eq!(locale.nearest().collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn json_has_the_tag_alone() {
        let locale: Locale = serde_json::from_str("\"de-at\"").unwrap();
        assert_eq!(serde_json::to_string(&locale).unwrap(), "\"de-AT\"");
        assert!(serde_json::from_str::<Locale>("\"?\"").is_err());
    }
}
