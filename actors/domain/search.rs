//! A search for tickets: how a user's text becomes words.
//!
//! The rules are the same for every store; a store turns [`Search`] into its own query language.
//!
//! - The words are those of [`Folded`], which cuts the tickets' texts as well.
//! - The text between two spaces is one term. The words of a term match if they follow each other:
//!   `WEB-5` is the word `web` followed by the word `5`.
//! - All terms must match, in any order.
//! - The last word of a term matches every word that begins with it, in the last
//!   [`SEARCH_PREFIXES_MAX`] terms that may: what was typed last may not be complete yet.
//! - A number matches itself only: `5` does not find `50`, so a key or a number finds one ticket of
//!   a project. So does a single letter: most words of an index begin with one of a few letters.
//! - Text of a script without spaces is found wherever it stands, also as a part of a longer word.
//! - Without a single word, nothing matches.

use super::words::{Folded, Run};

/// The most words of a search.
pub const SEARCH_WORDS_MAX: usize = 16;

/// So many characters of a script without spaces count as one word. Each costs a lookup, but most
/// pairs are rare.
const CHARACTERS_OF_A_WORD: usize = 4;

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
    /// At least one, folded.
    pub words: Vec<String>,
    /// Whether the last word matches every word that begins with it.
    pub is_prefix: bool,
    /// Whether the last word is one character of a script without spaces. It begins pairs, so it
    /// is found as a beginning only.
    is_character: bool,
    /// How many words it counts as.
    weight: usize,
}

/// More than [`SEARCH_WORDS_MAX`] words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a search has at most {SEARCH_WORDS_MAX} words, and {SEARCH_PREFIXES_MAX} single characters of \
     scripts without spaces"
)]
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
            if terms.iter().map(|term| term.weight).sum::<usize>() > SEARCH_WORDS_MAX {
                return Err(TooManyWords);
            }
        }
        let characters = terms.iter().filter(|term| term.is_character).count();
        let others = SEARCH_PREFIXES_MAX.checked_sub(characters).ok_or(TooManyWords)?;
        let beginnings = terms.iter_mut().rev().filter(|term| term.is_prefix && !term.is_character);
        beginnings.skip(others).for_each(|term| term.is_prefix = false);
        Ok(Self { terms })
    }

    /// The terms; none for a text without a word, which matches nothing.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether it finds a text, as an index of the text's words does.
    #[must_use]
    pub fn finds(&self, text: &Folded) -> bool {
        let words: Vec<&str> = text.words().collect();
        !self.terms.is_empty() && self.terms.iter().all(|term| term.is_among(&words))
    }
}

impl Term {
    fn of(text: &str) -> Option<Self> {
        let folded = Folded::of(text);
        let runs: Vec<Run<'_>> = folded.runs().collect();
        let (last, before) = runs.split_last()?;
        let mut words: Vec<String> = before.iter().flat_map(|run| run.words()).map(own).collect();
        words.extend(last.words().map(own));
        let is_character = match last {
            Run::Word(_) => false,
            Run::Pairs(text) if text.chars().nth(1).is_none() => true,
            Run::Pairs(_) => {
                // The text may go on behind its last character, which then has a pair of its own.
                words.pop();
                false
            }
        };
        let is_prefix = match last {
            Run::Word(word) => !word.chars().all(char::is_numeric) && !is_one_letter(word),
            Run::Pairs(_) => is_character,
        };
        let weight = runs.iter().map(weight).sum();
        Some(Self { words, is_prefix, is_character, weight })
    }

    /// Whether these words have its words, one after the other.
    fn is_among(&self, words: &[&str]) -> bool {
        let Some((last, before)) = self.words.split_last() else { return false };
        words.windows(self.words.len()).any(|found| {
            let ends = |word: &&str| match self.is_prefix {
                true => word.starts_with(last.as_str()),
                false => *word == last,
            };
            found.iter().zip(before).all(|(one, other)| one == other)
                && found.last().is_some_and(ends)
        })
    }
}

fn own(word: &str) -> String {
    word.to_owned()
}

fn weight(run: &Run<'_>) -> usize {
    match run {
        Run::Word(_) => 1,
        Run::Pairs(text) => text.chars().count().div_ceil(CHARACTERS_OF_A_WORD),
    }
}

/// Whether a word is one letter.
fn is_one_letter(word: &str) -> bool {
    word.chars().filter(|content| content.is_alphanumeric()).nth(1).is_none()
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
            ("  Tür\u{a0}KLEMMT \t", &["tur*", "klemmt*"]),
            ("WEB-5", &["web_5"]),
            ("#5", &["5"]),
            ("5th", &["5th*"]),
            ("v3.5.1 e-mail", &["v3_5_1", "e_mail*"]),
            ("cafe\u{301}s \u{301}xy", &["cafes*", "xy*"]),
            ("door door DOOR", &["door*"]),
            ("日本語 12٣", &["日本_本語", "123"]),
            ("a\"b OR (c* NEAR/2 -d", &["a_b", "or*", "c", "near_2", "d"]),
            ("障害5件 5月の", &["障害_害_5_件*", "5_月の"]),
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
            ("e\u{301} Ж ab", &["e", "ж", "ab*"]),
            ("web-a a5 5a", &["web_a", "a5*", "5a*"]),
            ("障 サ 한", &["障*", "サ*", "한*"]),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn single_characters_of_scripts_without_spaces_are_beginnings_before_all_others() {
        assert_eq!(shown("障 aa bb サ cc"), ["障*", "aa", "bb*", "サ*", "cc*"]);
        assert_eq!(shown("障 害 発 生 aa"), ["障*", "害*", "発*", "生*", "aa"]);
        assert_eq!(Search::of("障 害 発 生 大"), Err(TooManyWords));
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

    fn finds(search: &str, text: &str) -> bool {
        Search::of(search).unwrap().finds(&Folded::of(text))
    }

    #[test]
    fn a_part_of_a_text_without_spaces_is_found_wherever_it_stands() {
        for (text, parts) in [
            (
                "サーバー障害が発生しました",
                &["障害", "害が発", "サーバ", "ました", "生", "ｻｰﾊﾞｰ"][..],
            ),
            ("请重启服务器，谢谢", &["重启", "服务器", "器", "谢", "重启服务器"]),
            ("웹서버가 응답하지 않습니다", &["서버", "웹", "응답", "않습"]),
            ("ระบบล่มตอนเช้า", &["ล่ม", "ระบบ", "เช้า", "ตอน"]),
            ("iPhone15の画面が割れた", &["画面", "iphone15の画", "割れ"][..]),
        ] {
            for part in parts {
                assert!(finds(part, text), "{part} in {text}");
            }
        }
        assert!(!finds("害障", "サーバー障害が発生しました"));
        assert!(!finds("障害 発火", "サーバー障害が発生しました"));
        assert!(!finds("生大", "発生。大きな"));
    }

    proptest! {
        #[test]
        fn every_part_of_text_without_spaces_finds_it(
            text in "[ぁ-んァ-ヴ一-龠가-힣ก-ูเ-๎]{1,30}", from in 0_usize..30, length in 1_usize..20,
        ) {
            let folded = Folded::of(&text);
            let text = folded.spaced().into_owned();
            let whole: Vec<char> = text.split(' ').filter_map(|pair| pair.chars().next()).collect();
            let text: String = whole.iter().collect();
            let part: String = whole.iter().skip(from % whole.len()).take(length).collect();
            prop_assert!(finds(&part, &text), "{part:?} in {text:?}");
        }

        #[test]
        fn a_text_finds_itself(text in "\\PC{0,40}") {
            if let Ok(search) = Search::of(&text) {
                prop_assert!(search.terms().is_empty() || finds(&text, &text));
            }
        }
    }
}
