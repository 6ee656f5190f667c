//! A supervision tree as lines of text, with colours on a terminal.

use std::fmt::Write;

use owo_colors::OwoColorize;

use super::actor::{Actor, Restart, age, plain, took};

/// A line: its branches, the actor's path, and the columns.
struct Row<'a> {
    head: String,
    branches: String,
    node: Option<&'a Actor>,
}

const COLUMNS: [&str; 7] = ["state", "age", "mailbox", "handled", "p50", "p99", "restarts"];

/// The tree, one line per actor; the last line ends with a line break.
#[must_use]
pub fn draw(root: &Actor) -> String {
    let mut rows = Vec::new();
    gather(root, "", "", &mut rows);
    let cells: Vec<Option<[String; 7]>> = rows.iter().map(|row| row.node.map(columns)).collect();
    let wide = rows.iter().map(|row| row.head.chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(|i| {
        let column = cells.iter().flatten().map(|cells| cells[i].chars().count());
        column.chain([COLUMNS[i].len()]).max().unwrap_or(0)
    });
    let mut out = String::new();
    let titles = COLUMNS.map(str::to_owned);
    line(&mut out, "actor", wide, &titles, &widths, |title, _| title.dimmed().to_string());
    for (row, cells) in rows.iter().zip(&cells) {
        let (Some(node), Some(cells)) = (row.node, cells) else {
            let _ = writeln!(out, "{}", row.head.dimmed());
            continue;
        };
        line(&mut out, &row.head, wide, cells, &widths, |cell, column| paint(node, cell, column));
        if let Some(failure) = &node.last_failure {
            let _ = writeln!(out, "{}  {}", row.branches, failure.text().red());
        }
        if let Some(text) = node.last_restart.as_ref().and_then(Restart::text) {
            let _ = writeln!(out, "{}  {}", row.branches, text.yellow());
        }
    }
    out
}

fn gather<'a>(node: &'a Actor, prefix: &str, branch: &str, rows: &mut Vec<Row<'a>>) {
    let below = match branch {
        "" => String::new(),
        "└── " => format!("{prefix}    "),
        _ => format!("{prefix}│   "),
    };
    let hidden = node.children_total.saturating_sub(node.children.len());
    let has_children = hidden > 0 || !node.children.is_empty();
    let branches = if has_children { format!("{below}│") } else { below.clone() };
    // The root of one of several nodes is told from the others by the node's name.
    let name = match (branch, node.path.as_str()) {
        ("", _) | (_, "") => plain(&node.path),
        (_, "hub") => format!("hub {}", plain(&node.node)),
        (_, path) => plain(path),
    };
    let head = format!("{prefix}{branch}{name}");
    rows.push(Row { head, branches, node: Some(node) });
    for (i, child) in node.children.iter().enumerate() {
        let is_last = hidden == 0 && i + 1 == node.children.len();
        gather(child, &below, if is_last { "└── " } else { "├── " }, rows);
    }
    if hidden > 0 {
        let head = format!("{below}└── … and {hidden} more");
        rows.push(Row { head, branches: String::new(), node: None });
    }
}

fn line(
    out: &mut String,
    head: &str,
    wide: usize,
    cells: &[String; 7],
    widths: &[usize; 7],
    paint: impl Fn(&str, usize) -> String,
) {
    let _ = write!(out, "{head:<wide$}");
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // The state is text, all other columns are numbers.
        let cell = if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
        let _ = write!(out, "  {}", paint(&cell, i));
    }
    out.push('\n');
}

fn paint(node: &Actor, cell: &str, column: usize) -> String {
    match COLUMNS[column] {
        "state" => match node.state.as_str() {
            "running" => cell.green().to_string(),
            "failed" | "unreachable" => cell.red().to_string(),
            _ => cell.yellow().to_string(),
        },
        "restarts" if node.restarts > 0 => cell.yellow().to_string(),
        _ => cell.to_owned(),
    }
}

fn columns(node: &Actor) -> [String; 7] {
    [
        plain(&node.state),
        age(node.age_ms / 1000),
        node.mailbox_depth.to_string(),
        node.handled.to_string(),
        took(node.handle_p50_us),
        took(node.handle_p99_us),
        node.restarts.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree() -> Actor {
        let json = json!({
            "path": "hub", "kind": "hub", "state": "running", "age_ms": 7_400_000, "handled": 12,
            "mailbox_depth": 0, "handle_p50_us": 16, "handle_p99_us": 2048, "restarts": 0,
            "last_failure": null, "children_total": 2, "observed": {},
            "children": [
                {"path": "users/0", "state": "running", "age_ms": 61_000, "handled": 3_000,
                 "handle_p50_us": 8, "handle_p99_us": 3_200_000, "children_total": 41, "children": [
                    {"path": "user/42", "state": "backing_off", "restarts": 2,
                     "last_failure": {"text": "boom\n\u{1b}[2J", "at": "2026-03-01T12:00:00Z"},
                     "last_restart": {"cause": "failure", "operator": null,
                                      "at": "2026-03-01T12:00:01Z"}}]},
                {"path": "tickets", "state": "failed", "mailbox_depth": 7, "age_ms": 200_000_000,
                 "last_restart": {"cause": "operator", "operator": "ro\not",
                                  "at": "2026-03-01T13:00:00Z"}},
            ]
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_tree_is_drawn_a_line_an_actor() {
        let drawn = anstream::adapter::strip_str(&draw(&tree())).to_string();
        let wanted = "\
actor               state           age  mailbox  handled  p50    p99  restarts
hub                 running       2h 3m        0       12  16µs  2.0ms         0
├── users/0         running       1m 1s        0     3000   8µs   3.2s         0
│   ├── user/42     backing_off      0s        0        0   0µs    0µs         2
│   │     failed: boom  [2J at 2026-03-01T12:00:00Z
│   └── … and 40 more
└── tickets         failed       2d 7h        7        0   0µs    0µs         0
      restarted by operator ro ot at 2026-03-01T13:00:00Z
";
        let words = |text: &str| {
            let lines = text.lines();
            lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(words(&drawn), words(wanted), "{drawn}");
        let ends: Vec<usize> = drawn
            .lines()
            .filter(|l| !l.contains(['!', '…', ':']))
            .map(|l| l.chars().count())
            .collect();
        assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "aligned:\n{drawn}");
    }

    #[test]
    fn colours_say_what_is_wrong() {
        let drawn = draw(&tree());
        assert!(
            drawn.contains(&format!("{}", "failed".red())) || drawn.contains("\u{1b}[31mfailed")
        );
        assert!(drawn.contains("\u{1b}[32mrunning"));
    }
}
