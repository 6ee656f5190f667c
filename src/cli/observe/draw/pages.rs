//! An actor's page, the events, and the help.

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::super::actions::ACTIONS;
use super::super::keys::KEYS;
use super::super::rows::Id;
use super::super::screen::Screen;
use super::super::sessions::{HEADING, sessions, size};
use super::{BOLD, FAINT, event_line, tone};
use crate::cli::tree::actor::{Actor, Failure, Messages, Restart, age, plain, took};

/// An estimate of its state's memory; among the facts, and not repeated in the state.
const MEMORY: &str = "memory_bytes";

/// All that is known of an actor.
pub(super) fn actor(screen: &Screen, id: &Id) -> Vec<Line<'static>> {
    let mut lines =
        vec![Line::styled(format!(" {} on {}", plain(&id.path), plain(&id.node)), BOLD)];
    match screen.rows.find(id) {
        Some(entry) => {
            lines.extend(facts(&entry.actor, entry.rate));
            lines.extend(session_table(&entry.actor));
            lines.extend(entry.actor.messages.iter().flat_map(messages));
            if !entry.actor.observed.is_null() {
                lines.push(Line::default());
                lines.push(Line::styled(" state", BOLD));
                lines.extend(state(&entry.actor));
            }
        }
        None => lines.push(Line::styled(" It has stopped, or is not among those listed.", FAINT)),
    }
    lines.push(Line::default());
    lines.push(Line::styled(" events, newest first", BOLD));
    let is_its = |event: &&super::Event| event.path == id.path && event.node == id.node;
    let mut events = screen.events.iter().rev().filter(is_its).peekable();
    if events.peek().is_none() {
        lines.push(Line::styled(" none since this screen was opened, and few before", FAINT));
    }
    lines.extend(events.map(|event| event_line(event, false)));
    lines
}

fn facts(actor: &Actor, rate: f64) -> Vec<Line<'static>> {
    let fact = |name: &str, value: String| {
        Line::from(vec![Span::styled(format!(" {name:10}"), FAINT), Span::raw(value)])
    };
    let took = [actor.handle_p50_us, actor.handle_p99_us].map(took);
    let memory = actor.observed[MEMORY].as_u64();
    let memory = memory.map(|bytes| format!(", state {}", size(bytes))).unwrap_or_default();
    let mut lines = vec![
        Line::from(vec![
            Span::styled(format!(" {:10}", "is"), FAINT),
            Span::styled(plain(&actor.state), tone(&actor.state)),
            Span::raw(format!(", a {}, for {}", plain(&actor.kind), age(actor.age_ms / 1000))),
        ]),
        fact("mailbox", format!("{} messages{memory}", actor.mailbox_depth)),
        fact("handled", format!("{} messages, {rate:.1} a second", actor.handled)),
        fact("takes", format!("{} (p50), {} (p99) for a message", took[0], took[1])),
        fact("restarts", actor.restarts.to_string()),
    ];
    if actor.children_total > 0 {
        lines.push(fact("children", actor.children_total.to_string()));
    }
    if let Some(text) = actor.last_failure.as_ref().map(Failure::text) {
        lines.push(Line::styled(format!(" {text}"), Style::new().fg(Color::Red)));
    }
    if let Some(text) = actor.last_restart.as_ref().and_then(Restart::text) {
        lines.push(Line::styled(format!(" {text}"), Style::new().fg(Color::Yellow)));
    }
    lines
}

/// A user's sessions, a line each.
fn session_table(actor: &Actor) -> Vec<Line<'static>> {
    let sessions = sessions(actor);
    if sessions.is_empty() {
        return Vec::new();
    }
    let title = Line::styled(format!(" sessions ({})", sessions.len()), BOLD);
    let head = [Line::default(), title, Line::styled(HEADING, FAINT)];
    let rows = sessions.iter().map(|session| Line::raw(session.row()));
    head.into_iter().chain(rows).collect()
}

/// The last messages of a watched actor, a line each.
fn messages(messages: &Messages) -> Vec<Line<'static>> {
    // Of `2026-03-01T12:00:00.123456Z`, the time, and milliseconds where there are any.
    let time = |at: &str, end: usize| plain(at.get(11..end).unwrap_or(at).trim_end_matches('Z'));
    let until = time(&messages.until, 19);
    let mut lines = vec![
        Line::default(),
        Line::styled(format!(" messages, watched until {until} UTC, newest first"), BOLD),
    ];
    if messages.last.is_empty() {
        lines.push(Line::styled(" none since it is watched", FAINT));
    }
    lines.extend(messages.last.iter().map(|message| {
        Line::from(vec![
            Span::styled(format!(" {:12} ", time(&message.at, message.at.len().min(23))), FAINT),
            Span::raw(format!("{:>8}  {}", took(message.took_us), plain(&message.name))),
        ])
    }));
    lines
}

/// An actor's state: a line for each member and for each element of a list, those of one value
/// first. What has a table of its own is not shown again.
fn state(actor: &Actor) -> Vec<Line<'static>> {
    let Value::Object(members) = &actor.observed else {
        return vec![Line::raw(format!(" {}", short(&actor.observed)))];
    };
    let has_table = !sessions(actor).is_empty();
    let is_elsewhere = |name: &str| name == MEMORY || has_table && name == "sessions";
    let shown = members.iter().filter(|(name, _)| !is_elsewhere(name));
    let (lists, values): (Vec<_>, Vec<_>) =
        shown.partition(|(_, value)| matches!(value, Value::Array(_)));
    let of_value = |(name, value): (&String, &Value)| {
        Line::from(vec![
            Span::styled(format!(" {:14}", plain(name)), FAINT),
            Span::raw(format!(" {}", short(value))),
        ])
    };
    let mut lines: Vec<Line<'static>> = values.into_iter().map(of_value).collect();
    for (name, value) in lists {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        lines.push(Line::styled(format!(" {} ({})", plain(name), items.len()), FAINT));
        lines.extend(items.iter().map(|item| Line::raw(format!("   {}", short(item)))));
    }
    lines
}

/// A value on one line.
fn short(value: &Value) -> String {
    let Value::Object(members) = value else { return plain(&value.to_string()) };
    let members = members.iter().map(|(name, value)| format!("{name} {value}"));
    plain(&members.collect::<Vec<_>>().join("  "))
}

/// The events of all actors, newest first.
pub(super) fn events(screen: &Screen) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(" events of all actors, newest first", BOLD)];
    if screen.events.is_empty() {
        lines.push(Line::styled(" none yet", FAINT));
    }
    lines.extend(screen.events.iter().rev().map(|event| event_line(event, true)));
    lines
}

/// The keys, and below them the actions.
pub(super) fn help() -> Vec<Line<'static>> {
    let line = |keys: &str, what: &'static str| {
        Line::from(vec![Span::styled(format!(" {keys:16}"), BOLD), Span::raw(what)])
    };
    let keys = KEYS.iter().map(|(keys, what, _)| line(keys, what));
    let actions = ACTIONS.iter().map(|action| line(&action.key.to_string(), action.help));
    std::iter::once(Line::styled(" keys", BOLD))
        .chain(keys)
        .chain([Line::styled(" what they do to the selected actor, with a confirmation", BOLD)])
        .chain(actions)
        .collect()
}
