//! What clients call themselves (`User-Agent`), for operators.
//!
//! A few hundred texts serve a million sessions, so a session holds a number and this table the
//! texts. Only admitted sessions enter theirs.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// How many texts are kept, at most 1 MiB; a session with a further one shows none.
const AGENTS_MAX: usize = 4_096;
/// How much of a text is kept, in bytes; those of browsers have some 120.
const TEXT_MAX: usize = 200;

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Arc<str>, u16>,
    /// By number, which counts from 1.
    texts: Vec<Arc<str>>,
}

/// A client's name, or that it gave none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agent(u16);

impl Agent {
    /// The client that calls itself `text`; only the text's beginning counts.
    #[must_use]
    pub fn named(text: &str) -> Self {
        let text = text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default().trim();
        if text.is_empty() {
            return Self::default();
        }
        let known = TABLE.read().unwrap_or_else(PoisonError::into_inner).numbers.get(text).copied();
        Self(
            known
                .unwrap_or_else(|| TABLE.write().unwrap_or_else(PoisonError::into_inner).add(text)),
        )
    }

    /// The text.
    #[must_use]
    pub fn text(self) -> Option<Arc<str>> {
        let place = usize::from(self.0).checked_sub(1)?;
        TABLE.read().unwrap_or_else(PoisonError::into_inner).texts.get(place).cloned()
    }
}

impl Table {
    /// The text's number; 0 if the table is full.
    fn add(&mut self, text: &str) -> u16 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        if self.texts.len() >= AGENTS_MAX {
            return 0;
        }
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        let number = u16::try_from(self.texts.len()).unwrap_or_default();
        self.numbers.insert(text, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_its_beginning_only() {
        let one = Agent::named(" curl/8.5 ");
        assert_eq!(one, Agent::named("curl/8.5"));
        assert_ne!(one, Agent::named("curl/8.6"));
        assert_eq!(one.text().as_deref(), Some("curl/8.5"));
        let long = Agent::named(&"é".repeat(150));
        assert_eq!(long.text().as_deref(), Some(&*"é".repeat(100)));
        for none in ["", "  "] {
            assert_eq!(Agent::named(none), Agent::default());
        }
        assert_eq!(Agent::default().text(), None);
    }

    #[test]
    fn a_full_table_takes_no_more_and_keeps_what_it_has() {
        let mut table = Table::default();
        for n in 1..=AGENTS_MAX {
            assert_eq!(usize::from(table.add(&n.to_string())), n);
        }
        assert_eq!(table.add("one more"), 0);
        assert_eq!(table.add("7"), 7);
    }
}
