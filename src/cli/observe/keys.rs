//! The keyboard: which key means what, and a thread that reads it.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Close,
    Enter,
    Back,
    Search,
    Sort,
    Events,
    Restart,
    Help,
    End,
}

/// The keys of each action, and what the help says.
pub(super) const KEYS: [(Action, &[KeyCode], &str, &str); 16] = [
    (Action::Up, &[KeyCode::Up, KeyCode::Char('k')], "↑ k", "the row above"),
    (Action::Down, &[KeyCode::Down, KeyCode::Char('j')], "↓ j", "the row below"),
    (Action::PageUp, &[KeyCode::PageUp], "PgUp", "a page up"),
    (Action::PageDown, &[KeyCode::PageDown, KeyCode::Char(' ')], "PgDn Space", "a page down"),
    (Action::First, &[KeyCode::Home, KeyCode::Char('g')], "Home g", "the first row"),
    (Action::Last, &[KeyCode::End, KeyCode::Char('G')], "End G", "the last row"),
    (Action::Open, &[KeyCode::Right, KeyCode::Char('l')], "→ l", "show what is below"),
    (Action::Close, &[KeyCode::Left, KeyCode::Char('h')], "← h", "hide it, or go to the parent"),
    (Action::Enter, &[KeyCode::Enter], "Enter", "the actor's state, failures and events"),
    (Action::Back, &[KeyCode::Esc], "Esc", "back; end a search"),
    (Action::Search, &[KeyCode::Char('/')], "/", "search paths, users, tickets"),
    (Action::Sort, &[KeyCode::Char('s')], "s", "sort by tree, mailbox, msg/s, p99, restarts"),
    (Action::Events, &[KeyCode::Char('e')], "e", "events of all actors"),
    (Action::Restart, &[KeyCode::Char('r')], "r", "restart the actor, after a question"),
    (Action::Help, &[KeyCode::Char('?')], "?", "this help"),
    (Action::End, &[KeyCode::Char('q')], "q Ctrl-C", "end"),
];

/// A key that was pressed, or the screen's size has changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Pressed(KeyCode),
    Interrupt,
    Resized,
}

impl Key {
    /// What it is for, where nothing is typed.
    pub(super) fn action(self) -> Option<Action> {
        match self {
            Self::Pressed(code) => {
                KEYS.iter().find(|(_, codes, ..)| codes.contains(&code)).map(|key| key.0)
            }
            Self::Interrupt => Some(Action::End),
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
    fn each_action_has_a_key_and_no_key_has_two() {
        let mut seen = std::collections::HashSet::new();
        for (action, codes, ..) in KEYS {
            assert!(!codes.is_empty(), "{action:?}");
            for code in codes {
                assert!(seen.insert(*code), "{code:?}");
                assert_eq!(Key::Pressed(*code).action(), Some(action));
            }
        }
    }

    #[test]
    fn control_c_ends_and_a_key_that_is_let_go_does_nothing() {
        let c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let action = |event: KeyEvent| key_of(event::Event::Key(event)).and_then(Key::action);
        assert_eq!(action(c), Some(Action::End));
        let mut q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(action(q), Some(Action::End));
        q.kind = KeyEventKind::Release;
        assert_eq!(action(q), None);
    }
}
