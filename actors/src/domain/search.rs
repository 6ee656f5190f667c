//! A search for tickets: how a user's text is split into words.
//!
//! The rules are the same for every store; a store turns [`Search`] into its own query language.
//!
//! - A word is a run of letters and digits; all other characters separate words.
//! - The text between two spaces is one term. The words of a term match if they follow each other:
//!   `WEB-5` is the word `WEB` followed by the word `5`.
//! - All terms must match, in any order.
//! - The last word of a term matches every word that begins with it, in the last
//!   [`SEARCH_PREFIXES_MAX`] terms that may: what was typed last may not be complete yet.
//! - A number matches itself only: `5` does not find `50`, so a key or a number finds one ticket of
//!   a project. So does a single letter: most words of an index begin with one of a few letters.
//! - Case and the accents of Latin letters are ignored; the store folds them in both texts.
//! - Without a single word, nothing matches.

/// The most words of a search.
pub const SEARCH_WORDS_MAX: usize = 16;

/// The most terms whose last word may be a beginning: each reads the part of the index that has it.
/// Of 2,000 long tickets, a beginning of two letters takes a millisecond, a whole word a tenth.
pub const SEARCH_PREFIXES_MAX: usize = 4;

/// Searches that a node runs at once. One may take seconds, so there is another; more would only
/// take CPU from other work on a small machine.
pub const SEARCHES_AT_ONCE: usize = 2;

/// A parsed search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    terms: Vec<Term>,
}

/// Words that must follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// At least one, as the user wrote them.
    pub words: Vec<String>,
    /// Whether the last word matches every word that begins with it.
    pub is_prefix: bool,
}

/// More than [`SEARCH_WORDS_MAX`] words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a search has at most {SEARCH_WORDS_MAX} words")]
pub struct TooManyWords;

impl Search {
    /// Splits a user's text; a repeated term counts once.
    ///
    /// # Errors
    /// [`TooManyWords`].
    pub fn of(text: &str) -> Result<Self, TooManyWords> {
        let mut terms: Vec<Term> = Vec::new();
        for term in text.split_whitespace().filter_map(Term::of) {
            if !terms.contains(&term) {
                terms.push(term);
            }
            if terms.iter().map(|term| term.words.len()).sum::<usize>() > SEARCH_WORDS_MAX {
                return Err(TooManyWords);
            }
        }
        let beginnings = terms.iter_mut().rev().filter(|term| term.is_prefix);
        beginnings.skip(SEARCH_PREFIXES_MAX).for_each(|term| term.is_prefix = false);
        Ok(Self { terms })
    }

    /// The terms; none for a text without a word, which matches nothing.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }
}

impl Term {
    fn of(text: &str) -> Option<Self> {
        let mut words: Vec<String> = Vec::new();
        let mut is_inside = false;
        for content in text.chars() {
            let goes_on = is_inside && is_accent(content);
            match words.last_mut() {
                Some(word) if is_inside && (content.is_alphanumeric() || goes_on) => {
                    word.push(content);
                }
                _ if content.is_alphanumeric() => words.push(content.to_string()),
                _ => {}
            }
            is_inside = content.is_alphanumeric() || goes_on;
        }
        let last = words.last()?;
        let is_number = last.chars().all(char::is_numeric);
        Some(Self { is_prefix: !is_number && !is_one_letter(last), words })
    }
}

/// Whether a word is one letter of an alphabet. One ideograph, kana or Hangul syllable says more:
/// few words begin with it.
fn is_one_letter(word: &str) -> bool {
    let mut letters = word.chars().filter(|content| !is_accent(*content));
    letters.next().is_some_and(|letter| letter < '\u{2e80}') && letters.next().is_none()
}

/// An accent that is a character of its own, after its letter.
fn is_accent(content: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let search = Search::of(text).unwrap();
        let show = |term: &Term| {
            let mark = if term.is_prefix { "*" } else { "" };
            format!("{}{mark}", term.words.join("_"))
        };
        search.terms().iter().map(show).collect()
    }

    #[test]
    fn a_text_is_split_at_all_but_letters_and_digits() {
        for (text, wanted) in [
            ("stuck door", &["stuck*", "door*"][..]),
            ("  Tür\u{a0}KLEMMT \t", &["Tür*", "KLEMMT*"]),
            ("WEB-5", &["WEB_5"]),
            ("#5", &["5"]),
            ("5th", &["5th*"]),
            ("v3.5.1 e-mail", &["v3_5_1", "e_mail*"]),
            ("cafe\u{301}s \u{301}xy", &["cafe\u{301}s*", "xy*"]),
            ("door door DOOR", &["door*", "DOOR*"]),
            ("日本語 12٣", &["日本語*", "12٣"]),
            ("a\"b OR (c* NEAR/2 -d", &["a_b", "OR*", "c", "NEAR_2", "d"]),
            ("", &[]),
            ("% _ \\ ' \" * - 🔔 \u{301}", &[]),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_single_letter_matches_itself_only() {
        for (text, wanted) in [
            ("a", &["a"][..]),
            ("e\u{301} Ж ß ab", &["e\u{301}", "Ж", "ß", "ab*"]),
            ("web-a a5 5a", &["web_a", "a5*", "5a*"]),
            ("障 サ 한", &["障*", "サ*", "한*"]),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_last_terms_may_be_beginnings() {
        let wanted = ["aa", "bb", "17", "cc*", "dd*", "z", "ee*", "ff*"];
        assert_eq!(shown("aa bb 17 cc dd z ee ff"), wanted);
    }

    #[test]
    fn a_search_has_a_bound() {
        let text = |words: usize| (0..words).map(|n| format!("w{n}")).collect::<Vec<_>>().join("-");
        assert!(Search::of(&text(SEARCH_WORDS_MAX)).is_ok());
        assert_eq!(Search::of(&text(SEARCH_WORDS_MAX + 1)), Err(TooManyWords));
        assert!(Search::of(&"again ".repeat(100)).is_ok());
    }

    proptest! {
        #[test]
        fn words_hold_letters_and_digits_alone(text in "\\PC{0,40}") {
            if let Ok(search) = Search::of(&text) {
                for term in search.terms() {
                    prop_assert!(!term.words.is_empty());
                    for word in &term.words {
                        let is_good = |c: char| c.is_alphanumeric() || is_accent(c);
                        prop_assert!(!word.is_empty() && word.chars().all(is_good));
                    }
                }
            }
        }
    }
}
