//! The keyboard: which key means what, and a thread that reads it.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

/// What a key does on the screen. What it does to an actor is in [`super::actions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Navigation {
    To(Row),
    Open,
    Close,
    Enter,
    Back,
    Search,
    Sort,
    Events,
    Help,
    End,
}

/// Another row than the selected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Above,
    Below,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Row {
    /// Which it is, seen from a row of so many.
    pub(super) fn from(self, at: usize, page: usize, rows: usize) -> usize {
        let to = match self {
            Self::Above => at.saturating_sub(1),
            Self::Below => at.saturating_add(1),
            Self::PageUp => at.saturating_sub(page),
            Self::PageDown => at.saturating_add(page),
            Self::First => 0,
            Self::Last => usize::MAX,
        };
        to.min(rows.saturating_sub(1))
    }
}

/// A line of the help, and the keys that it is about.
type Line = (&'static str, &'static str, &'static [(Navigation, &'static [KeyCode])]);

/// All of them. The help fits on a screen of 80 × 24, so keys that belong together share a line.
pub(super) const KEYS: [Line; 10] = {
    use KeyCode::Char;
    use Navigation as N;
    [
        (
            "↑ ↓ k j",
            "the row above, or below",
            &[
                (N::To(Row::Above), &[KeyCode::Up, Char('k')]),
                (N::To(Row::Below), &[KeyCode::Down, Char('j')]),
            ],
        ),
        (
            "PgUp PgDn Space",
            "a page up, or down",
            &[
                (N::To(Row::PageUp), &[KeyCode::PageUp]),
                (N::To(Row::PageDown), &[KeyCode::PageDown, Char(' ')]),
            ],
        ),
        (
            "Home End g G",
            "the first row, or the last",
            &[
                (N::To(Row::First), &[KeyCode::Home, Char('g')]),
                (N::To(Row::Last), &[KeyCode::End, Char('G')]),
            ],
        ),
        (
            "→ ← l h",
            "show what is below; hide it, or go to the parent",
            &[(N::Open, &[KeyCode::Right, Char('l')]), (N::Close, &[KeyCode::Left, Char('h')])],
        ),
        (
            "Enter",
            "the actor's state, sessions, messages, failures and events",
            &[(N::Enter, &[KeyCode::Enter])],
        ),
        ("Esc", "back; end a search", &[(N::Back, &[KeyCode::Esc])]),
        ("/", "search paths, users, tickets", &[(N::Search, &[Char('/')])]),
        ("s", "sort by tree, mailbox, msg/s, p99, restarts", &[(N::Sort, &[Char('s')])]),
        ("e", "events of all actors", &[(N::Events, &[Char('e')])]),
        ("? q Ctrl-C", "this help; end", &[(N::Help, &[Char('?')]), (N::End, &[Char('q')])]),
    ]
};

/// A key that was pressed, or the screen's size has changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Pressed(KeyCode),
    Interrupt,
    Resized,
}

impl Key {
    /// What it does on the screen, where nothing is typed.
    pub(super) fn navigation(self) -> Option<Navigation> {
        match self {
            Self::Pressed(code) => {
                let mut keys = KEYS.iter().flat_map(|line| line.2);
                keys.find(|(_, codes)| codes.contains(&code)).map(|key| key.0)
            }
            Self::Interrupt => Some(Navigation::End),
            Self::Resized => None,
        }
    }
}

/// How often the thread looks whether the screen has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads keys in a thread, which ends with the receiver.
pub(super) fn read() -> io::Result<mpsc::Receiver<io::Result<Key>>> {
    let (keys, pressed) = mpsc::channel(64);
    let read = move || {
        while !keys.is_closed() {
            let key = match event::poll(LOOK_EVERY) {
                Ok(false) => continue,
                Ok(true) => event::read().map(key_of).transpose(),
                Err(error) => Some(Err(error)),
            };
            let Some(key) = key else { continue };
            let is_last = key.is_err();
            if keys.blocking_send(key).is_err() || is_last {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(pressed)
}

fn key_of(event: event::Event) -> Option<Key> {
    if let event::Event::Resize(..) = event {
        return Some(Key::Resized);
    }
    let event::Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if kind == KeyEventKind::Release {
        return None;
    }
    if modifiers.contains(KeyModifiers::CONTROL) {
        return (code == KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    Some(Key::Pressed(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let mut seen = std::collections::HashSet::new();
        for (navigation, codes) in KEYS.iter().flat_map(|line| line.2) {
            assert!(!codes.is_empty(), "{navigation:?}");
            for code in *codes {
                assert!(seen.insert(*code), "{code:?}");
                assert_eq!(Key::Pressed(*code).navigation(), Some(*navigation));
            }
        }
    }

    #[test]
    fn a_move_stays_among_the_rows() {
        for (row, wanted) in [
            (Row::Above, 4),
            (Row::Below, 6),
            (Row::PageUp, 0),
            (Row::PageDown, 8),
            (Row::First, 0),
            (Row::Last, 8),
        ] {
            assert_eq!(row.from(5, 7, 9), wanted, "{row:?}");
            assert_eq!(row.from(0, 7, 0), 0, "{row:?}");
        }
    }

    #[test]
    fn control_c_ends_and_a_key_that_is_let_go_does_nothing() {
        let c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let does = |event: KeyEvent| key_of(event::Event::Key(event)).and_then(Key::navigation);
        assert_eq!(does(c), Some(Navigation::End));
        let mut q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(does(q), Some(Navigation::End));
        q.kind = KeyEventKind::Release;
        assert_eq!(does(q), None);
    }
}
