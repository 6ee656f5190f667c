//! What a text may consist of, so that what users are shown is what is stored.
//!
//! Some characters have no glyph. A text of nothing else looks empty, and the bidirectional
//! controls change the order in which others are shown: `invoice\u{202e}gpj.exe` ends in `exe`.

use unicode_segmentation::UnicodeSegmentation;

/// Whether a text shows nothing: it is empty, or all its characters are white space or invisible.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|content| content.is_whitespace() || is_invisible(content))
}

/// A line without the marks of direction that it does not need: a text with no letter that is
/// written from right to left has one direction.
///
/// # Errors
/// [`BadLine`].
pub fn line(text: &str) -> Result<String, BadLine> {
    if text.contains(|content: char| content.is_control() || is_separator(content)) {
        return Err(BadLine::Control);
    }
    if text.contains(is_bidi_control) {
        return Err(BadLine::Direction);
    }
    if text.contains(is_right_to_left) {
        return Ok(text.to_owned());
    }
    Ok(text.chars().filter(|content| !is_bidi_mark(*content)).collect())
}

/// The same for a text that is not its author's to correct: what no line may contain is left out.
#[must_use]
pub fn made_line(text: &str) -> String {
    let is_good = |content: &char| {
        !content.is_control() && !is_separator(*content) && !is_bidi_control(*content)
    };
    let kept: String = text.chars().filter(is_good).collect();
    let kept = line(&kept).unwrap_or_default();
    if is_blank(&kept) { String::new() } else { kept }
}

/// Why a text is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// A control character, or one that separates lines or paragraphs.
    #[error("Control characters are not allowed.")]
    Control,
    /// An embedding, an override or an isolate.
    #[error("Characters that change the direction of text are not allowed.")]
    Direction,
}

/// LINE SEPARATOR and PARAGRAPH SEPARATOR.
fn is_separator(content: char) -> bool {
    matches!(content, '\u{2028}' | '\u{2029}')
}

/// Embeddings, overrides and isolates. Each reaches beyond its text where it is shown in another.
fn is_bidi_control(content: char) -> bool {
    matches!(content, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The marks of direction, which stand for one letter.
fn is_bidi_mark(content: char) -> bool {
    matches!(content, '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// The blocks of scripts that are written from right to left, without the marks of direction.
fn is_right_to_left(content: char) -> bool {
    matches!(content,
        '\u{590}'..='\u{61b}' | '\u{61d}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Characters without a glyph: Unicode's `Default_Ignorable_Code_Point`, and the blank pattern of
/// Braille.
pub(super) fn is_invisible(content: char) -> bool {
    matches!(content,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// At most so many characters, cut before a character as users see it (a grapheme cluster), with an
/// ellipsis if some were cut.
#[must_use]
pub fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let (mut short, mut left) = (String::new(), chars_max.saturating_sub(1));
    for cluster in text.graphemes(true) {
        let Some(rest) = left.checked_sub(cluster.chars().count()) else { break };
        short.push_str(cluster);
        left = rest;
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_shows_nothing_is_blank() {
        for blank in [
            "",
            " \t\n",
            "\u{200b}",
            "\u{feff}",
            "\u{ad}",
            "\u{3164}",
            "\u{2060}\u{200d} \u{200c}",
            "\u{115f}\u{1160}\u{ffa0}",
            "\u{2800}",
            "\u{fe0f}",
            "\u{e0020}",
            "\u{180e}",
            "\u{34f}",
            "\u{202e}\u{2066}\u{200e}",
            "\u{2028}\u{2029}",
            "\u{a0}\u{3000}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for shown in ["a", ".", "\u{200b}x", "👍", "👩\u{200d}👧", "ـ", "\u{301}", "０"] {
            assert!(!is_blank(shown), "{shown:?}");
        }
    }

    #[test]
    fn a_line_has_one_line_and_keeps_its_direction() {
        for (text, wanted) in [
            ("Lamp", Ok("Lamp")),
            ("a\u{200e}b\u{200f}\u{61c}", Ok("ab")),
            ("\u{200f}שלום (a)\u{200e}", Ok("\u{200f}שלום (a)\u{200e}")),
            ("مرحبا\u{61c} 1", Ok("مرحبا\u{61c} 1")),
            ("می\u{200c}خواهم", Ok("می\u{200c}خواهم")),
            ("👩\u{200d}👧", Ok("👩\u{200d}👧")),
            ("a\nb", Err(BadLine::Control)),
            ("a\u{85}b", Err(BadLine::Control)),
            ("a\u{2028}b", Err(BadLine::Control)),
            ("a\u{2029}b", Err(BadLine::Control)),
            ("invoice\u{202e}gpj.exe", Err(BadLine::Direction)),
            ("\u{2066}a\u{2069}", Err(BadLine::Direction)),
            ("שלום\u{202a}", Err(BadLine::Direction)),
        ] {
            assert_eq!(line(text), wanted.map(str::to_owned), "{text:?}");
        }
        for control in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(line(&format!("a{control}b")), Err(BadLine::Direction), "{control:?}");
        }
        assert_eq!(made_line("a\u{202e}b\u{2028}c\u{200e}\n"), "abc");
        assert_eq!(made_line("\u{200b}\u{202e}"), "");
    }

    #[test]
    fn a_text_is_cut_between_the_characters_that_users_see() {
        for (text, max, wanted) in [
            ("äöü", 3, "äöü"),
            ("äöüß", 3, "äö…"),
            ("a👨\u{200d}👩\u{200d}👧b", 6, "a…"),
            ("a👨\u{200d}👩\u{200d}👧bc", 7, "a👨\u{200d}👩\u{200d}👧…"),
            ("x🇩🇪y", 3, "x…"),
            ("xe\u{301}yz", 4, "xe\u{301}…"),
            ("xe\u{301}y", 3, "x…"),
            ("👨\u{200d}👩\u{200d}👧", 2, "…"),
        ] {
            assert_eq!(shortened(text, max), wanted, "{text:?} {max}");
        }
    }

    proptest! {
        #[test]
        fn a_shortened_text_has_at_most_so_many_characters(text in "\\PC{0,40}", max in 1_usize..20) {
            prop_assert!(shortened(&text, max).chars().count() <= max);
        }

        #[test]
        fn what_is_made_a_line_is_one(text in ".{0,40}") {
            prop_assert!(line(&made_line(&text)).is_ok());
        }
    }
}
