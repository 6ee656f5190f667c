//! Texts from outside that no edge has checked.

use std::borrow::Cow;

/// The text as PostgreSQL can store it: U+0000 is replaced by U+FFFD. A provider's answer may
/// contain it, and what it did with a message is recorded in any case.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_stored_is_replaced() {
        assert_eq!(storable("550 no such mailbox"), "550 no such mailbox");
        assert_eq!(storable("\0a\0"), "\u{fffd}a\u{fffd}");
    }
}
