//! The words of a text, as a search compares them: the same function cuts and folds the texts of
//! an index and the searches, so all stores find the same.
//!
//! - A word is a run of letters and digits with their marks; all other characters separate words.
//! - Scripts that do not put spaces between words (Chinese, Japanese, Thai and their kind), and
//!   Korean, which joins words, are cut into pairs of characters instead: `障害発生` is `障害`,
//!   `害発`, `発生`, `生`. So a part of such a text is a row of pairs that follow each other, and is
//!   found wherever it stands. The last character stands alone, so that each begins a word.
//! - Letters are folded: to compatibility form (full width, ligatures), lower case, and without
//!   what a user may leave out ([`Folded::of`]).

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_script::{Script, UnicodeScript};

use super::letters::{digit, instead};
use super::text::is_invisible;

/// Bytes of a word: PostgreSQL refuses 2,047. The rest is cut off, in texts and in searches, so
/// that a longer word is still found.
const WORD_BYTES_MAX: usize = 2_000;
/// The canonical combining class of a nukta, the dot that makes a letter of another one.
const NUKTA: u8 = 7;
/// From here on a character may belong to a script without spaces.
const FIRST_WITHOUT_SPACES: char = '\u{e00}';

/// A text whose letters are folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded(String);

impl Folded {
    /// Folds a text:
    ///
    /// - Characters without a glyph are left out: a soft hyphen, a joiner, a mark of direction.
    /// - A symbol that stands for letters or digits (`№`, `²`, `㈱`) is a word of its own.
    /// - Accents of Latin and Greek letters, vowel points of Arabic and Hebrew, and the nukta are
    ///   left out; of Cyrillic letters all but the breve, which makes `й` of `и`. Other marks are
    ///   part of their word.
    /// - Letters of which the accent is a part become plain ones (`ø`, `ß`; see [`instead`]), and
    ///   digits of all scripts become `0` to `9`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self(text.to_ascii_lowercase());
        }
        let mut base = ' ';
        let visible = text.chars().filter(|content| !is_invisible(*content));
        let decomposed = visible.flat_map(apart).nfkd();
        let kept = decomposed.flat_map(char::to_lowercase).filter(|content| {
            let is_kept = !is_combining_mark(*content) || keeps(base, *content);
            if !is_combining_mark(*content) {
                base = *content;
            }
            is_kept
        });
        let folded = kept.flat_map(|content| {
            let folded = instead(content);
            let own = folded.is_none().then(|| digit(content).unwrap_or(content));
            folded.unwrap_or_default().chars().chain(own)
        });
        Self(folded.nfc().collect())
    }

    /// Its words, in their order.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.runs().flat_map(Run::words)
    }

    /// Its words with a space between each two.
    #[must_use]
    pub fn spaced(&self) -> Cow<'_, str> {
        // An ASCII text separates its words itself.
        if self.0.is_ascii() {
            return Cow::Borrowed(&self.0);
        }
        let mut spaced = String::with_capacity(self.0.len().saturating_mul(2));
        for word in self.words() {
            spaced.push_str(word);
            spaced.push(' ');
        }
        Cow::Owned(spaced)
    }

    /// Its runs of one kind.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let pieces = self.0.split(|content| !is_part(content)).filter(|piece| !piece.is_empty());
        pieces.flat_map(runs_of)
    }
}

/// A run of letters and digits, with their marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run<'a> {
    /// One word.
    Word(&'a str),
    /// Text of scripts without spaces.
    Pairs(&'a str),
}

impl<'a> Run<'a> {
    /// Its words.
    pub(crate) fn words(self) -> impl Iterator<Item = &'a str> {
        let (word, text) = match self {
            Self::Word(word) => (Some(&word[..word.floor_char_boundary(WORD_BYTES_MAX)]), ""),
            Self::Pairs(text) => (None, text),
        };
        let pairs = text.char_indices().map(move |(start, first)| {
            let second = text[start..].chars().nth(1).map_or(0, char::len_utf8);
            &text[start..start + first.len_utf8() + second]
        });
        word.into_iter().chain(pairs)
    }
}

/// The runs of a piece that nothing separates.
fn runs_of(piece: &str) -> impl Iterator<Item = Run<'_>> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        // A mark belongs to what is before it: it begins no word.
        if !rest.starts_with(has_no_spaces) {
            rest = rest.trim_start_matches(|mark| is_combining_mark(mark) && !has_no_spaces(mark));
        }
        let is_pairs = has_no_spaces(rest.chars().next()?);
        let end = rest.find(|content| has_no_spaces(content) != is_pairs).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(if is_pairs { Run::Pairs(run) } else { Run::Word(run) })
    })
}

/// The character with spaces around it, if it is neither a letter nor a decimal digit but may stand
/// for some.
fn apart(content: char) -> impl Iterator<Item = char> {
    let is_apart = match content {
        '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' => true, // ² ³ ¹ ¼ ½ ¾
        '\u{2070}'..='\u{208e}' | '\u{2150}'..='\u{218b}' => true,    // ⁵ ₅ ⅓ Ⅷ
        '\u{2460}'..='\u{24ff}' | '\u{3200}'..='\u{33ff}' => true,    // ① ㈱ ㎏
        _ => !content.is_ascii() && !content.is_alphanumeric() && !is_combining_mark(content),
    };
    let space = is_apart.then_some(' ');
    space.into_iter().chain([content]).chain(space)
}

/// Whether a mark is part of its letter's word.
fn keeps(base: char, mark: char) -> bool {
    if matches!(mark, '\u{3099}' | '\u{309a}') {
        return true; // が is not か
    }
    let script = mark.script();
    if script == Script::Inherited {
        return mark == '\u{306}' && base.script() == Script::Cyrillic;
    }
    let has_vowel_points = matches!(script, Script::Arabic | Script::Hebrew | Script::Syriac);
    !has_vowel_points && canonical_combining_class(mark) != NUKTA
}

fn is_part(content: char) -> bool {
    content.is_alphanumeric() || (!content.is_ascii() && is_combining_mark(content))
}

/// Whether a letter or a mark belongs to a script that puts no spaces between words, or to Korean.
fn has_no_spaces(content: char) -> bool {
    if content < FIRST_WITHOUT_SPACES {
        return false;
    }
    // The signs that prolong, voice and repeat belong to both kana.
    if matches!(content, '\u{30fc}' | '\u{3099}' | '\u{309a}' | '\u{3031}'..='\u{3035}') {
        return true;
    }
    matches!(
        content.script(),
        Script::Han
            | Script::Hiragana
            | Script::Katakana
            | Script::Hangul
            | Script::Bopomofo
            | Script::Yi
            | Script::Tangut
            | Script::Nushu
            | Script::Khitan_Small_Script
            | Script::Thai
            | Script::Lao
            | Script::Khmer
            | Script::Myanmar
            | Script::Tai_Le
            | Script::New_Tai_Lue
            | Script::Tai_Tham
            | Script::Tai_Viet
            | Script::Ahom
            | Script::Javanese
            | Script::Balinese
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        Folded::of(text).words().map(str::to_owned).collect()
    }

    #[test]
    fn a_text_is_cut_at_all_but_letters_and_digits() {
        for (text, wanted) in [
            ("", ""),
            (" -- 🔔 \u{301}", ""),
            ("WEB-5 Stuck door", "web 5 stuck door"),
            ("it's v3.5.1", "it s v3 5 1"),
            ("О\u{2bc}Neil  O'Neil", "о neil o neil"),
            ("№5 10² Foo™ ½", "no 5 10 2 foo tm 1 2"),
            ("mid\u{ad}dle zero\u{200b}width", "middle zerowidth"),
            ("हिन्दी नेपाली", "हिन्दी नेपाली"),
        ] {
            assert_eq!(words(text).join(" "), wanted, "{text:?}");
        }
    }

    #[test]
    fn text_without_spaces_becomes_pairs() {
        for (text, wanted) in [
            ("障害発生", "障害 害発 発生 生"),
            ("サーバー障害が", "サー ーバ バー ー障 障害 害が が"),
            ("iPhone障害5件", "iphone 障害 害 5 件"),
            ("서버 장애", "서버 버 장애 애"),
            ("ระบบล่ม", "ระ ะบ บบ บล ล่ ่ม ม"),
            ("障", "障"),
        ] {
            assert_eq!(words(text).join(" "), wanted, "{text:?}");
        }
    }

    #[test]
    fn what_users_take_for_the_same_is_folded_into_the_same() {
        for (one, other) in [
            ("Straße STRASSE ẞ", "strasse strasse ss"),
            ("IŞIK ışık İstanbul", "isik isik istanbul"),
            ("Łódź Øre Đakovo Ħal þing ðu", "lodz ore dakovo hal thing du"),
            ("Æsir Œuvre ĳs ﬁle Ĳ", "aesir oeuvre ijs file ij"),
            ("Ｆｕｌｌ　Ｗｉｄｔｈ１２", "full width12"),
            ("ｻｰﾊﾞｰ ﾊﾟﾝ", "サーバー パン"),
            ("ハ\u{309a}ン", "パン"),
            ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}", "한국"),
            ("ΑΘΗΝΑ Αθήνα ΣΑΣ σας", "αθηνα αθηνα σασ σασ"),
            ("Ёлка за\u{301}мок", "елка замок"),
            ("и\u{306}од", "йод"),
            ("مُحَمَّد محمـــد أحمد إلى", "محمد محمد احمد الي"),
            ("کتاب ی ٱ", "كتاب ي ا"),
            ("שָׁלוֹם מלך", "שלומ מלכ"),
            ("٥ ۵ ५ ５ ๕", "5 5 5 5 5"),
            ("क\u{93c} क़", "क क"),
            ("tie\u{302}\u{301}ng Việt", "tieng viet"),
            ("𝐁𝐨𝐥𝐝 K Å", "bold k a"),
        ] {
            assert_eq!(words(one), words(other), "{one:?}");
        }
        assert_ne!(words("йод"), words("иод"));
        assert_ne!(words("がく"), words("かく"));
    }

    #[test]
    fn words_have_a_bound() {
        assert_eq!(words(&"X".repeat(9_000)), ["x".repeat(WORD_BYTES_MAX)]);
        assert_eq!(words(&"ж".repeat(9_000)), ["ж".repeat(WORD_BYTES_MAX / 2)]);
    }

    proptest! {
        #[test]
        fn words_hold_letters_digits_and_marks_alone(text in "\\PC{0,40}") {
            let folded = Folded::of(&text);
            for word in folded.words() {
                prop_assert!(!word.is_empty() && word.chars().all(is_part), "{word:?}");
            }
            // What a tokenizer makes of it that takes all of Unicode but ASCII for letters.
            let ends = |content: char| content.is_ascii() && !content.is_ascii_alphanumeric();
            let spaced = folded.spaced();
            let tokens: Vec<&str> = spaced.split(ends).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(tokens, folded.words().collect::<Vec<_>>());
        }

        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
            let Folded(once) = Folded::of(&text);
            prop_assert_eq!(words(&once), words(&text));
        }
    }
}
