//! Letters that a search takes for others, where Unicode has no decomposition: what a user without
//! that key types, or what the same letter is in another place of a word.

/// What stands for a letter; nothing for one that is left out. `None`: itself.
pub(super) fn instead(letter: char) -> Option<&'static str> {
    if letter.is_ascii() {
        return None;
    }
    latin(letter).or_else(|| other(letter))
}

/// Latin letters with a stroke, a hook or a bar, and ligatures.
fn latin(letter: char) -> Option<&'static str> {
    Some(match letter {
        'æ' | 'ǽ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'þ' => "th",
        'ꜳ' => "aa",
        'ⱥ' => "a",
        'ƀ' | 'ɓ' | 'ƃ' => "b",
        'ƈ' | 'ȼ' => "c",
        'đ' | 'ð' | 'ɖ' | 'ɗ' | 'ƌ' => "d",
        'ɇ' => "e",
        'ƒ' => "f",
        'ǥ' | 'ɠ' => "g",
        'ħ' | 'ⱨ' => "h",
        'ı' | 'ɨ' => "i",
        'ɉ' | 'ȷ' => "j",
        'ƙ' | 'ⱪ' | 'ĸ' => "k",
        'ł' | 'ƚ' | 'ɫ' | 'ⱡ' => "l",
        'ŋ' | 'ɲ' | 'ƞ' => "n",
        'ø' | 'ɵ' => "o",
        'ƥ' | 'ᵽ' => "p",
        'ɍ' | 'ɽ' => "r",
        'ʂ' | 'ȿ' => "s",
        'ŧ' | 'ƭ' | 'ʈ' | 'ⱦ' => "t",
        'ʉ' => "u",
        'ʋ' => "v",
        'ⱳ' => "w",
        'ƴ' | 'ɏ' => "y",
        'ƶ' | 'ȥ' | 'ⱬ' => "z",
        // An apostrophe, a glottal stop, a prime: signs, although Unicode calls them letters.
        '\u{2b9}'..='\u{2bf}' | '\u{2c6}'..='\u{2d1}' | '\u{2ec}' | '\u{2ee}' => " ",
        _ => return None,
    })
}

/// Forms of a letter at the end of a word, and letters that Arabic and Persian write differently.
fn other(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ς' => "σ",
        '\u{5da}' => "\u{5db}",                         // ך
        '\u{5dd}' => "\u{5de}",                         // ם
        '\u{5df}' => "\u{5e0}",                         // ן
        '\u{5e3}' => "\u{5e4}",                         // ף
        '\u{5e5}' => "\u{5e6}",                         // ץ
        '\u{640}' => "",                                // the tatweel only widens
        '\u{671}' => "\u{627}",                         // ٱ
        '\u{649}' | '\u{6cc}' => "\u{64a}",             // ى ی
        '\u{6a9}' => "\u{643}",                         // ک
        '\u{629}' | '\u{6c1}' | '\u{6d5}' => "\u{647}", // ة ہ ە
        _ => return None,
    })
}

/// The zero of each script's decimal digits, which follow it.
const ZEROS: [char; 24] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
    '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}',
    '\u{1040}', '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1b50}', '\u{a9d0}',
];

/// The same digit as `0` to `9`.
pub(super) fn digit(content: char) -> Option<char> {
    if content < ZEROS[0] {
        return None;
    }
    let before = ZEROS.partition_point(|zero| *zero <= content).checked_sub(1)?;
    let value = u32::from(content) - u32::from(ZEROS[before]);
    char::from_digit(value, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_all_scripts_are_digits() {
        assert!(ZEROS.is_sorted());
        for zero in ZEROS {
            let digits: String =
                (0..10).filter_map(|n| digit(char::from_u32(u32::from(zero) + n)?)).collect();
            assert_eq!(digits, "0123456789");
            assert!(
                !char::from_u32(u32::from(zero) - 1).unwrap().is_numeric() || zero == '\u{966}'
            );
        }
        for other in ['5', 'a', 'é', '\u{65f}', '\u{66a}', '五'] {
            assert_eq!(digit(other), None, "{other}");
        }
    }
}
