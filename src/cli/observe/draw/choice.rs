//! The requests to choose from, where an action can make several.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::super::asked::Choice;
use super::{BOLD, FAINT, SELECTED};
use crate::cli::tree::actor::plain;

/// Draws them below their title and heading; returns how many fit.
pub(super) fn choice(frame: &mut Frame<'_>, area: Rect, choice: &Choice) -> usize {
    let page = usize::from(area.height.saturating_sub(2)).max(1);
    let mut lines = vec![
        Line::styled(format!(" {}", plain(&choice.title)), BOLD),
        Line::styled(choice.heading, FAINT),
    ];
    // In the middle of the screen, but with nothing empty at the ends.
    let top = choice.at.saturating_sub(page / 2).min(choice.requests.len().saturating_sub(page));
    for (nth, request) in choice.requests.iter().enumerate().skip(top).take(page) {
        let line = Line::raw(plain(&request.choice));
        lines.push(if nth == choice.at { line.style(SELECTED) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), area);
    page
}
