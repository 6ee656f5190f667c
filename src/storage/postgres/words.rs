//! The words of tickets and of searches, as PostgreSQL's full-text index compares them.
//!
//! PostgreSQL stores and compares the words as they are given: this module splits and folds a
//! ticket's text and a search alike, so that the server needs no dictionary and every server gives
//! the same answers. A word is a run of letters and digits, in lower case, its Latin letters
//! without accents.

use bellpull_actors::domain::search::{Search, Term};
use unicode_normalization::UnicodeNormalization;

/// Bytes of a word; PostgreSQL refuses 2,047. The rest is cut off, in texts and searches alike, so
/// that a longer word is still found.
const WORD_BYTES_MAX: usize = 2_000;
/// The last position that PostgreSQL stores exactly. Words after it have none: they are found by
/// themselves, but not in a term of several words.
const POSITION_MAX: usize = 16_382;
/// Bytes of all words with their positions; PostgreSQL refuses 1 MiB. Words after it are not found.
const BYTES_MAX: usize = 1_000_000;
/// What a word takes besides its bytes: its position, their number, and filling.
const WORD_OVERHEAD: usize = 6;

/// The words of a ticket's text as a literal of the type `tsvector`, with their positions.
pub(super) fn vector(text: &str) -> String {
    let mut literal = String::with_capacity(text.len().saturating_mul(2).min(BYTES_MAX));
    let mut bytes = 0;
    for (index, word) in split(text).enumerate() {
        let word = fold(word);
        bytes += word.len() + WORD_OVERHEAD;
        if bytes > BYTES_MAX {
            break;
        }
        let position = index + 1;
        // Letters and digits only, so nothing within the quotes is special.
        literal.push('\'');
        literal.push_str(&word);
        literal.push('\'');
        if position <= POSITION_MAX {
            literal.push(':');
            literal.push_str(&position.to_string());
        }
        literal.push(' ');
    }
    literal
}

/// A search as a literal of the type `tsquery`: `('web' <-> '5') & ('door':*)`. `None` if it has no
/// word and so matches nothing.
pub(super) fn query(search: &Search) -> Option<String> {
    let terms: Vec<String> = search.terms().iter().map(term).collect();
    (!terms.is_empty()).then(|| terms.join(" & "))
}

fn term(term: &Term) -> String {
    let words: Vec<String> = term.words.iter().map(|word| format!("'{}'", fold(word))).collect();
    let mark = if term.is_prefix { ":*" } else { "" };
    format!("({}{mark})", words.join(" <-> "))
}

/// The runs of letters and digits, with the accents that follow them.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |content: char| content.is_alphanumeric() || is_accent(content);
    // An accent belongs to the letter before it: it begins no word.
    let words = text.split(move |content| !is_part(content));
    words.filter_map(|run| run.find(char::is_alphanumeric).map(|start| &run[start..]))
}

/// A word in lower case and without the accents of its Latin letters.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        let end = word.len().min(WORD_BYTES_MAX);
        return word[..end].to_ascii_lowercase();
    }
    let mut is_latin = false;
    let keep = |content: &char| {
        if is_accent(*content) {
            return !is_latin;
        }
        is_latin = content.is_ascii_alphabetic();
        true
    };
    // Both small sigmas are one letter.
    let sigma = |content| if content == 'ς' { 'σ' } else { content };
    let lower = word.chars().flat_map(char::to_lowercase).map(sigma);
    let mut folded: String = lower.nfd().filter(keep).nfc().collect();
    folded.truncate(folded.floor_char_boundary(WORD_BYTES_MAX));
    folded
}

/// An accent that is a character of its own.
fn is_accent(content: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_becomes_its_folded_words_with_their_positions() {
        for (text, wanted) in [
            ("", ""),
            (" -- ", ""),
            ("WEB-5 Stuck door", "'web':1 '5':2 'stuck':3 'door':4 "),
            ("Ärger, ÉTÉ e\u{301}te\u{301} ễ", "'arger':1 'ete':2 'ete':3 'e':4 "),
            ("\u{301}a b\u{301}", "'a':1 'b':2 "),
            ("it's", "'it':1 's':2 "),
            ("Йод и\u{306} ΣΑΣ", "'йод':1 'й':2 'σασ':3 "),
            ("İstanbul straße 한국", "'istanbul':1 'straße':2 '한국':3 "),
        ] {
            assert_eq!(vector(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn the_limits_of_the_index_are_kept() {
        let long = "x".repeat(9_000);
        assert_eq!(vector(&long), format!("'{}':1 ", "x".repeat(WORD_BYTES_MAX)));
        let wide = "ж".repeat(9_000);
        assert_eq!(vector(&wide), format!("'{}':1 ", "ж".repeat(WORD_BYTES_MAX / 2)));
        let many = vector(&"a ".repeat(20_000));
        assert!(many.contains("'a':16382 'a' 'a' "));
        assert!(!many.contains(":16383"));
        assert!(vector(&"word ".repeat(1_000_000)).matches("word").count() < 100_001);
    }

    #[test]
    fn a_search_names_all_its_terms_and_the_beginning_of_the_last_word_of_each() {
        let shown = |text: &str| query(&Search::of(text).unwrap());
        assert_eq!(shown("WEB-5 Tür").as_deref(), Some("('web' <-> '5') & ('tur':*)"));
        assert_eq!(shown("e-mail").as_deref(), Some("('e' <-> 'mail':*)"));
        assert_eq!(shown(" -- "), None);
    }

    proptest! {
        #[test]
        fn a_word_that_a_search_finds_is_a_word_of_the_text(text in "\\PC{0,40}") {
            let Ok(search) = Search::of(&text) else { return Ok(()) };
            let searched = search.terms().iter().flat_map(|term| &term.words);
            let words: Vec<String> = split(&text).map(fold).collect();
            for word in searched {
                prop_assert!(words.contains(&fold(word)), "{word:?} of {words:?}");
            }
        }
    }
}
