//! Draws the screen: a head with the signals, what fills the screen, the keys.

mod choice;
mod foot;
mod head;
mod list;
mod pages;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::asked::Asked;
use super::feed::Event;
use super::screen::{Screen, View};
use crate::cli::tree::actor::plain;

const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let foot_lines = foot::foot(screen, usize::from(frame.area().width));
    let below = u16::try_from(foot_lines.len()).unwrap_or(u16::MAX);
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1), Constraint::Length(below)])
            .areas(frame.area());
    frame.render_widget(head::head(screen), head);
    frame.render_widget(Paragraph::new(foot_lines), foot);
    if let Asked::Choice(choice) = &screen.asked {
        screen.page = choice::choice(frame, body, choice);
        return;
    }
    match screen.view.clone() {
        View::List => list::list(frame, body, screen),
        View::Actor(id) => {
            let lines = pages::actor(screen, &id);
            scrolled(frame, body, screen, lines);
        }
        View::Events => {
            let lines = pages::events(screen);
            scrolled(frame, body, screen, lines);
        }
        View::Help => scrolled(frame, body, screen, pages::help()),
    }
}

/// A text that may be longer than the screen.
fn scrolled(frame: &mut Frame<'_>, area: Rect, screen: &mut Screen, lines: Vec<Line<'static>>) {
    screen.page = usize::from(area.height);
    screen.lines = lines.len();
    screen.top = screen.top.min(screen.lines.saturating_sub(screen.page));
    let seen: Vec<Line<'_>> =
        lines.into_iter().skip(screen.top).take(usize::from(area.height)).collect();
    frame.render_widget(Paragraph::new(seen), area);
}

/// The style of a state or of an event's name.
fn tone(word: &str) -> Style {
    match word {
        "running" | "spawned" | "closed" => Style::new().fg(Color::Green),
        "failed" | "unreachable" | "escalated" | "open" => Style::new().fg(Color::Red),
        _ => Style::new().fg(Color::Yellow),
    }
}

/// An event as a line; without its path on that actor's own page.
fn event_line(event: &Event, is_named: bool) -> Line<'static> {
    // Of `2026-03-01T12:00:00.123Z`, the time: few of those that are kept are of another day.
    let at = event.at.get(11..19).unwrap_or_default();
    let mut spans = vec![
        Span::styled(format!(" {at:8} "), FAINT),
        Span::styled(format!("{:9} ", plain(&event.what)), tone(&event.what)),
    ];
    if is_named {
        spans.push(Span::raw(format!("{} ", plain(&event.path))));
    }
    spans.push(Span::styled(plain(&event.detail), FAINT));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyCode;
    use serde_json::json;

    use super::super::actions::ACTIONS;
    use super::super::feed::News;
    use super::super::keys::Key;
    use super::*;

    fn screen() -> Screen {
        let json = json!({"node": "a", "path": "hub", "state": "running", "children_total": 1,
            "age_ms": 65_000, "observed": {"sessions": 3}, "children": [
            {"node": "a", "path": "users/0", "state": "backing_off", "children_total": 40,
             "restarts": 2, "handle_p99_us": 2_500, "mailbox_depth": 9,
             "last_failure": {"text": "boom\u{1b}[2J", "at": "2026-03-01T12:00:00Z"},
             "children": [{"node": "a", "path": "user/42", "state": "running"}]}]});
        let mut screen = Screen::new(serde_json::from_value(json).unwrap());
        screen.take(News::Event(Event {
            node: "a".to_owned(),
            at: "2026-03-01T12:00:00Z".to_owned(),
            path: "users/0".to_owned(),
            what: "failed".to_owned(),
            detail: "boom".to_owned(),
        }));
        screen
    }

    fn shown(screen: &mut Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_has_its_place_at_80_by_24() {
        let mut screen = screen();
        let text = shown(&mut screen, 80, 24);
        for wanted in [
            "bellpull observe",
            "1 node, 3 actors",
            "users/0",
            "backing_off",
            "2.5ms",
            "msg/s",
            "… 39 more",
            "12:00:00 failed",
            "q end",
        ] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn an_actor_s_page_has_its_state_failure_and_events() {
        let mut screen = screen();
        for code in [KeyCode::Down, KeyCode::Enter] {
            screen.press(Key::Pressed(code));
        }
        let text = shown(&mut screen, 80, 24);
        for wanted in ["users/0", "failed: boom [2J at", "restarts", "40", "12:00:00 failed"] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        screen.press(Key::Pressed(KeyCode::Char('r')));
        let text = shown(&mut screen, 80, 24);
        assert!(
            text.contains(" Restart users/0 on a? Its state") && text.contains(" y/n"),
            "{text}"
        );
    }

    /// The page of a user with so many sessions, whose messages are watched.
    fn user(sessions: usize) -> Screen {
        let session = |nth: usize| {
            json!({"id": nth, "by": "socket", "dialect": "inbox", "peer": format!("10.0.0.1:{nth}"),
                "phase": "live", "seq": 5, "login": null, "silent_s": 3, "waiting_bytes": 0})
        };
        let sessions: Vec<_> = (1..=sessions).map(session).collect();
        let json = json!({"node": "n".repeat(80), "path": "user/1", "observed": {
                "username": "ada", "sessions": sessions},
            "messages": {"until": "2026-03-01T12:05:00.5Z", "last": [
                {"name": "Pushed", "at": "2026-03-01T12:00:00.123456Z", "took_us": 1_500},
                {"name": "Joined", "at": "2026-03-01T11:59:59Z", "took_us": 7}]}});
        let mut screen = Screen::new(serde_json::from_value(json).unwrap());
        screen.press(Key::Pressed(KeyCode::Enter));
        screen
    }

    #[test]
    fn a_user_s_page_has_its_sessions_and_messages() {
        let text = shown(&mut user(2), 80, 30);
        for wanted in [
            "sessions (2)",
            "   id by     dialect     phase     position silent  buffer address",
            "    2 socket inbox       live             5     3s      0B 10.0.0.1:2",
            "messages, watched until 12:05:00 UTC, newest first",
            " 12:00:00.123    1.5ms  Pushed",
            " 11:59:59          7µs  Joined",
            "username       \"ada\"",
            "c close a session",
        ] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        assert!(!text.contains("\"by\""), "a session is not shown twice:\n{text}");
    }

    #[test]
    fn one_of_many_sessions_is_chosen_and_a_long_question_is_whole() {
        let mut screen = user(100);
        for code in [KeyCode::Char('c'), KeyCode::PageDown, KeyCode::PageDown] {
            shown(&mut screen, 80, 24);
            screen.press(Key::Pressed(code));
        }
        let text = shown(&mut screen, 80, 24);
        assert!(text.contains("   37 socket") && !text.contains("    1 socket"), "{text}");
        screen.press(Key::Pressed(KeyCode::Enter));
        let text = shown(&mut screen, 80, 24);
        for wanted in ["Close session 37 of user/1 on", "misses nothing.", " y/n"] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
    }

    #[test]
    fn the_help_fits_at_80_by_24() {
        let mut screen = screen();
        screen.press(Key::Pressed(KeyCode::Char('?')));
        let text = shown(&mut screen, 80, 24);
        for action in &ACTIONS {
            assert!(text.contains(action.help), "{} in\n{text}", action.help);
        }
        assert!(text.contains("the row above, or below") && screen.lines <= screen.page, "{text}");
    }

    #[test]
    fn a_hub_that_is_away_and_an_empty_search_say_so() {
        let mut screen = screen();
        screen.take(News::Away("the hub at x cannot be reached".to_owned()));
        for key in "/zzz".chars() {
            screen.press(Key::Pressed(KeyCode::Char(key)));
        }
        let text = shown(&mut screen, 80, 24);
        assert!(text.contains("the hub at x cannot be reached"), "{text}");
        assert!(text.contains("no actor has \"zzz\""), "{text}");
        assert!(text.contains("search: zzz"), "{text}");
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        for (width, height) in [(1, 1), (20, 4), (40, 10), (300, 100)] {
            let mut screen = screen();
            for code in [KeyCode::Null, KeyCode::Enter, KeyCode::Char('e'), KeyCode::Char('?')] {
                screen.press(Key::Pressed(code));
                assert!(!shown(&mut screen, width, height).is_empty());
            }
            let mut screen = user(3);
            for code in [KeyCode::Null, KeyCode::Char('c'), KeyCode::Enter] {
                screen.press(Key::Pressed(code));
                assert!(!shown(&mut screen, width, height).is_empty());
            }
        }
    }
}
