//! The list of actors, with the last events below it.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::super::rows::{Entry, Order};
use super::super::screen::Screen;
use super::{BOLD, FAINT, SELECTED, event_line, tone};
use crate::cli::tree::actor::{plain, took};

/// The columns beside the actor's, with their widths.
const COLUMNS: [(&str, u16); 6] =
    [("state", 11), ("mailbox", 7), ("msg/s", 7), ("p50", 7), ("p99", 7), ("restarts", 8)];
/// Of how many lines the events get some.
const ROOM_FOR_EVENTS: u16 = 14;
const EVENTS: u16 = 4;

pub(super) fn list(frame: &mut Frame<'_>, area: Rect, screen: &mut Screen) {
    let has_events = area.height >= ROOM_FOR_EVENTS && !screen.events.is_empty();
    let below = if has_events { EVENTS + 1 } else { 0 };
    let [area, events] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(below)]).areas(area);
    screen.page = usize::from(area.height.saturating_sub(1)).max(1);
    let shown = screen.shown();
    if shown.is_empty() {
        let text = format!(" no actor has \"{}\" in its path or state", plain(&screen.words));
        frame.render_widget(Paragraph::new(Line::styled(text, FAINT)), area);
    } else {
        let at = screen.selected(&shown);
        // In the middle of the screen, but with nothing empty at the ends.
        let top = at.saturating_sub(screen.page / 2).min(shown.len().saturating_sub(screen.page));
        let seen = shown.iter().skip(top).take(screen.page);
        let is_tree = screen.order == Order::Tree && screen.words.is_empty();
        let rows = seen.map(|entry| row(entry, is_tree, screen.is_closed(&entry.id)));
        let widths = std::iter::once(Constraint::Min(16))
            .chain(COLUMNS.map(|(_, width)| Constraint::Length(width)));
        let table = Table::new(rows, widths)
            .header(titles(screen.order))
            .column_spacing(1)
            .row_highlight_style(SELECTED);
        let mut state = TableState::new().with_selected(Some(at - top));
        frame.render_stateful_widget(table, area, &mut state);
    }
    if has_events {
        let title = Line::styled(" events", BOLD);
        let last = screen.events.iter().rev().take(usize::from(EVENTS)).rev();
        let lines = std::iter::once(title).chain(last.map(|event| event_line(event, true)));
        frame.render_widget(Paragraph::new(Text::from_iter(lines)), events);
    }
}

fn titles(order: Order) -> Row<'static> {
    let title = |name: &'static str, alignment| {
        let style = if order.column() == name { BOLD.underlined() } else { BOLD };
        Text::styled(name, style).alignment(alignment)
    };
    let numbers = COLUMNS.iter().skip(1).map(|(name, _)| title(name, Alignment::Right));
    let texts = [title(" actor", Alignment::Left), title("state", Alignment::Left)];
    Row::new(texts.into_iter().chain(numbers))
}

fn row(entry: &Entry, is_tree: bool, is_closed: bool) -> Row<'static> {
    let actor = &entry.actor;
    let mark = match (is_tree && entry.has_children, is_closed) {
        (true, true) => "▸ ",
        (true, false) => "▾ ",
        (false, _) => "  ",
    };
    let indent = if is_tree { entry.depth.min(8) * 2 } else { 0 };
    let name = match entry.id.path.as_str() {
        "hub" => format!("hub {}", plain(&entry.id.node)),
        path => plain(path),
    };
    let more = match entry.hidden {
        0 => String::new(),
        hidden => format!(" … {hidden} more"),
    };
    let number = |text: String| Text::raw(text).alignment(Alignment::Right);
    let noticed = |count: u32| {
        let style = if count > 0 { Style::new().fg(Color::Yellow) } else { Style::new() };
        Text::styled(count.to_string(), style).alignment(Alignment::Right)
    };
    Row::new([
        Text::raw(format!(" {:indent$}{mark}{name}{more}", "")),
        Text::styled(plain(&actor.state), tone(&actor.state)),
        noticed(actor.mailbox_depth),
        number(format!("{:.1}", entry.rate)),
        number(took(actor.handle_p50_us)),
        number(took(actor.handle_p99_us)),
        noticed(actor.restarts),
    ])
}
