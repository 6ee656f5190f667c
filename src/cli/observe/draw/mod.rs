//! Draws the screen: a head with the signals, what fills the screen, the keys.

mod head;
mod list;
mod pages;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::feed::Event;
use super::screen::{Asked, Screen, View};
use crate::cli::tree::actor::plain;

const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

const KEYS: &str = " ↑↓←→ move  Enter actor  / search  s sort  e events  r restart  ? help  q end";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(head::head(screen), head);
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
    frame.render_widget(foot_line(screen), foot);
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

/// A question, what has come of a request, or the keys.
fn foot_line(screen: &Screen) -> Line<'static> {
    match &screen.asked {
        Asked::Search => {
            return Line::from(vec![
                Span::styled(" search: ", BOLD),
                Span::raw(plain(&screen.words)),
                Span::styled(" ", SELECTED),
                Span::styled("  Enter keeps it, Esc ends it", FAINT),
            ]);
        }
        Asked::Restart(id) => {
            let question = format!(" Restart {} on {}? y/n ", plain(&id.path), plain(&id.node));
            return Line::styled(question, Style::new().fg(Color::Yellow).bold());
        }
        Asked::Nothing => {}
    }
    match screen.told() {
        Some(told) => Line::styled(format!(" {}", plain(told)), BOLD),
        None => Line::styled(KEYS, FAINT),
    }
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
        assert!(shown(&mut screen, 80, 24).contains("Restart users/0 on a? y/n"));
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
        }
    }
}
