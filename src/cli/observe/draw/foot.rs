//! The foot: the selected actor's actions, or a question, or an outcome; below it, the keys.

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::super::actions::actions;
use super::super::asked::Asked;
use super::super::screen::{Screen, View};
use super::{BOLD, FAINT, SELECTED};
use crate::cli::tree::actor::plain;

const LIST: &str = " ↑↓←→ move  Enter actor  / search  s sort  e events  ? help  q end";
const PAGE: &str = " ↑↓ scroll  Esc back  / search  s sort  e events  ? help  q end";
const SEARCH: &str = " Enter keeps it  Esc ends it";
const CHOICE: &str = " ↑↓ choose  Enter continue  Esc back  q end";
const CONFIRMATION: &str = " y/n";
/// A question with the longest name of a node takes so many lines of 80.
const TEXT_LINES_MAX: usize = 5;

/// Its lines: two, or more for a long text.
pub(super) fn foot(screen: &Screen, width: usize) -> Vec<Line<'static>> {
    let styled = |text: &str, style: Style| {
        let lines = wrapped(&plain(text), width.saturating_sub(1)).into_iter();
        lines.take(TEXT_LINES_MAX).map(|line| Line::styled(format!(" {line}"), style)).collect()
    };
    let (mut lines, keys): (Vec<Line<'static>>, _) = match (&screen.asked, screen.told()) {
        (Asked::Search, _) => (vec![search(&screen.words)], SEARCH),
        (Asked::Choice(_), _) => (Vec::new(), CHOICE),
        (Asked::Confirmation(request), _) => {
            (styled(&request.question, Style::new().fg(Color::Yellow).bold()), CONFIRMATION)
        }
        (Asked::Nothing, Some(told)) => (styled(told, BOLD), keys(&screen.view)),
        (Asked::Nothing, None) => (vec![offered(screen)], keys(&screen.view)),
    };
    lines.push(Line::styled(keys, FAINT));
    lines
}

fn keys(view: &View) -> &'static str {
    if *view == View::List { LIST } else { PAGE }
}

fn search(words: &str) -> Line<'static> {
    Line::from(vec![
        Span::styled(" search: ", BOLD),
        Span::raw(plain(words)),
        Span::styled(" ", SELECTED),
    ])
}

/// The actions of the selected actor. The line is there without any, too, so that nothing moves.
fn offered(screen: &Screen) -> Line<'static> {
    let offered = screen.subject().into_iter().flat_map(actions);
    let spans = offered.flat_map(|action| {
        [Span::styled(format!(" {}", action.key), BOLD), Span::raw(format!(" {} ", action.label))]
    });
    spans.collect()
}

/// A text in lines of at most that many characters, broken between words where possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut free = 0;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        if let Some(line) = lines.last_mut().filter(|_| free > rest.len()) {
            line.push(' ');
            line.extend(&rest);
            free -= rest.len() + 1;
            continue;
        }
        while !rest.is_empty() {
            let piece: String = rest.drain(..rest.len().min(width.max(1))).collect();
            free = width.saturating_sub(piece.chars().count());
            lines.push(piece);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 80), ["one two three"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a longer one", 5), ["a", "longe", "r one"]);
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
        assert!(wrapped(" ", 9).is_empty());
    }
}
