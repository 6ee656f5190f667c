//! Confusable names: names that a reader may mistake for one another, because of case, script or
//! spelling.
//!
//! Two names are confusable if their keys are equal. A store keeps the keys, unique, beside the
//! names, so of two names that look alike only the first is accepted.

use unicode_normalization::UnicodeNormalization;
use unicode_security::UNICODE_VERSION;
use unicode_security::confusable_detection::skeleton;

/// To be raised with every change to the functions below that changes a key.
const RULES_VERSION: u32 = 1;

/// Changes whenever a key might: with the rules, and with Unicode's tables. A store with keys of
/// another version computes them again.
#[must_use]
pub fn keys_version() -> String {
    let (major, minor, update) = UNICODE_VERSION;
    format!("{RULES_VERSION}, Unicode {major}.{minor}.{update}")
}

/// The key of a username: the skeleton of Unicode's UTS #39 of the name in compatibility form and
/// lower case. `Carl`, `cаrl` with a Cyrillic `а`, and `car1` have one key.
#[must_use]
pub fn username_key(username: &str) -> String {
    skeleton(&folded(username)).flat_map(char::to_lowercase).collect()
}

/// The key of an e-mail address. As for a username, but ASCII characters are only equal to
/// themselves: an address belongs to its mailbox, and `ann@modern.example` is not
/// `ann@modem.example`.
#[must_use]
pub fn email_key(email: &str) -> String {
    let mut key = String::with_capacity(email.len());
    for content in folded(email).chars() {
        if content.is_ascii() {
            key.push(content);
        } else {
            key.extend(skeleton(content.encode_utf8(&mut [0; 4])).flat_map(char::to_lowercase));
        }
    }
    key
}

/// Whether a slug (`a-z`, `0-9`, `_`, `-`) looks like another one. Wider than the keys: `i`, `l`
/// and `1` count as one letter, and separators are ignored.
pub(crate) fn looks_like_slug(slug: &str, other: &str) -> bool {
    let key = |slug: &str| username_key(slug).replace(['_', '-'], "").replace('i', "l");
    key(slug) == key(other)
}

/// A username as an account has it: in compatibility form (NFKC), so that what looks the same is
/// the same name whatever machine it was typed on.
#[must_use]
pub fn normal_name(username: &str) -> String {
    username.nfkc().collect()
}

/// Whether two usernames, or two e-mail addresses, are one: but for case and form. Such names have
/// one key; the reverse does not hold.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    one == other || folded(one) == folded(other)
}

/// Whether a name that is shown looks like another one: only letters and digits count.
#[must_use]
pub fn looks_like_name(name: &str, other: &str) -> bool {
    let key = |name: &str| -> String {
        username_key(name).chars().filter(|content| content.is_alphanumeric()).collect()
    };
    let name = key(name);
    !name.is_empty() && name == key(other)
}

/// The text in compatibility form (NFKC) and lower case, which may undo each other once.
#[must_use]
pub fn folded(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_that_look_alike_have_one_key() {
        for (one, other) in [
            ("carl", "Carl"),
            ("carl", "c\u{430}rl"),
            ("carl", "\u{ff43}\u{ff41}rl"),
            ("carl", "car1"),
            ("bob", "b0b"),
            ("modern", "modem"),
            ("\u{e4}nne", "A\u{308}nne"),
            ("\u{3c3}", "\u{3a3}"),
            ("user-o", "user-O"),
        ] {
            assert_eq!(username_key(one), username_key(other), "{one} {other}");
        }
        for (one, other) in [("ian", "lan"), ("ann", "anne"), ("user1", "user2"), ("a.b", "ab")] {
            assert_ne!(username_key(one), username_key(other), "{one} {other}");
        }
        let numbered: std::collections::HashSet<_> =
            (0..20_000).map(|n| username_key(&format!("load{n}"))).collect();
        assert_eq!(numbered.len(), 20_000);
    }

    #[test]
    fn a_name_is_the_same_in_every_case_and_form_and_not_by_its_looks() {
        for (one, other) in [
            ("jos\u{e9}", "jose\u{301}"),
            ("\u{ff43}arl", "Carl"),
            ("\u{fc}nal@example.com", "\u{dc}NAL@Example.com"),
        ] {
            assert!(is_same_name(one, other), "{one} {other}");
            assert_eq!(username_key(one), username_key(other), "{one} {other}");
            assert_eq!(email_key(one), email_key(other), "{one} {other}");
        }
        for (one, other) in [("carl", "car1"), ("carl", "c\u{430}rl"), ("jose", "jos\u{e9}")] {
            assert!(!is_same_name(one, other), "{one} {other}");
        }
        assert_eq!(normal_name("jose\u{301}"), "jos\u{e9}");
    }

    #[test]
    fn a_shown_name_looks_like_another_whatever_is_between_its_letters() {
        for like in [
            "root super",
            "ROOT  SUPER",
            "Root-Super.",
            "R\u{200b}oot Super",
            "R00t Super",
            "\u{ff32}oot Super",
            "Ro\u{43e}t Super",
        ] {
            assert!(looks_like_name(like, "Root Super"), "{like:?}");
        }
        for other in ["Root", "Super Root", "", "\u{200b}", "Rooth Super"] {
            assert!(!looks_like_name(other, "Root Super"), "{other:?}");
        }
        assert!(!looks_like_name("-", "."), "there is nothing to compare");
    }

    #[test]
    fn addresses_differ_by_every_ascii_character_successor_of_by_case_or_script() {
        for (one, other) in [
            ("ann@example.com", "ANN@Example.com"),
            ("ann@example.com", "\u{430}nn@example.com"),
            ("ann@example.com", "ann@ex\u{430}mple.com"),
            ("ann@example.com", "ann@\u{ff45}xample.com"),
        ] {
            assert_eq!(email_key(one), email_key(other), "{one} {other}");
        }
        for (one, other) in [
            ("ann@modern.example", "ann@modem.example"),
            ("ann1@example.com", "annl@example.com"),
            ("ann+a@example.com", "ann@example.com"),
        ] {
            assert_ne!(email_key(one), email_key(other), "{one} {other}");
        }
    }
}
