//! The head: which hub, whether it answers, and the golden signals.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};

use super::super::rows::Order;
use super::super::screen::{Screen, View};
use super::{BOLD, FAINT};
use crate::cli::tree::actor::plain;
use bellpull_telemetry::signals::Sample;

const AWAY: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const MIB: f64 = 1_048_576.0;

/// Three lines.
pub(super) fn head(screen: &Screen) -> Text<'static> {
    let [first, second] = match (&screen.away, screen.signals.samples.last()) {
        // What was so before it went is no longer so.
        (Some(why), _) => [Line::styled(format!(" {}", plain(why)), AWAY), Line::default()],
        (None, Some(sample)) => numbers(sample, &screen.signals.node),
        (None, None) => [Line::styled(" signals come within seconds", FAINT), Line::default()],
    };
    Text::from(vec![title(screen), first, second])
}

fn title(screen: &Screen) -> Line<'static> {
    let (nodes, actors) = screen.rows.counts();
    let s = if nodes == 1 { "" } else { "s" };
    let mut spans = vec![
        Span::styled(" bellpull observe ", BOLD),
        Span::raw(format!(" {nodes} node{s}, {actors} actors listed  ")),
    ];
    if screen.order != Order::Tree {
        spans.push(Span::raw(format!("sorted by {}  ", screen.order.column())));
    }
    if screen.view == View::List && !screen.words.is_empty() {
        spans.push(Span::raw(format!("with \"{}\"  ", plain(&screen.words))));
    }
    spans.push(match screen.away {
        Some(_) => Span::styled(format!("● of {} s ago", screen.quiet_for().as_secs()), AWAY),
        None => Span::styled("● live", Style::new().fg(Color::Green)),
    });
    Line::from(spans)
}

fn numbers(sample: &Sample, node: &str) -> [Line<'static>; 2] {
    let first = [
        ("sessions", format!("{:.0}", sample.sessions)),
        ("frames/s", rate(sample.frames)),
        ("requests/s", rate(sample.requests)),
        ("errors/s", rate(sample.errors)),
        ("p99", format!("{:.1}ms", sample.request_p99 * 1_000.0)),
    ];
    let second = [
        ("tickets/s", rate(sample.ticket_changes)),
        ("commits/s", rate(sample.commits)),
        ("queued", format!("{:.0}", sample.deliveries_queued)),
        ("mailboxes", format!("{:.0}", sample.mailboxes)),
        ("memory", format!("{:.0}MiB", sample.memory / MIB)),
        ("cpu", format!("{:.0}%", sample.processors * 100.0)),
    ];
    let line = |cells: &[(&'static str, String)]| {
        let spans = cells.iter().flat_map(|(name, value)| {
            [Span::styled(format!(" {name} "), FAINT), Span::raw(format!("{value} "))]
        });
        spans.collect::<Vec<_>>()
    };
    let mut first = line(&first);
    first.push(Span::styled(format!(" on {}", plain(node)), FAINT));
    [Line::from(first), Line::from(line(&second))]
}

fn rate(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
