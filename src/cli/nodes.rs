//! `nodes`: lists the nodes on the database, also when none is running.

use bellpull_domain::node::{Node, NodeState};
use owo_colors::OwoColorize;
use serde::Serialize;

use super::store::open_hubs_store;
use super::{CliError, SettingFlags, print_line};

const EXAMPLES: &str = "\
Examples:
  bellpull nodes
  bellpull nodes --json | jq -r '.results[] | select(.state == \"up\") | .url'";

/// The options of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print JSON, as GET /api/operator/nodes/ answers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

#[derive(Serialize)]
struct Listed<'a> {
    count: usize,
    results: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    url: &'a str,
    version: &'a str,
    started_at: jiff::Timestamp,
    last_seen_at: jiff::Timestamp,
    state: &'static str,
    sessions: u32,
}

impl<'a> From<&'a Node> for Row<'a> {
    fn from(node: &'a Node) -> Self {
        Self {
            name: node.name.as_str(),
            url: &node.url,
            version: &node.version,
            started_at: node.started_at,
            last_seen_at: node.last_seen_at,
            state: node.state.as_str(),
            sessions: node.sessions,
        }
    }
}

/// Lists the nodes: the live ones, and those that left within the hour.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    let store = open_hubs_store(&config).await?;
    let nodes = store.nodes().await;
    store.close().await;
    let nodes = nodes?;
    if args.json {
        let results: Vec<Row<'_>> = nodes.iter().map(Row::from).collect();
        let listed = Listed { count: results.len(), results };
        let text = serde_json::to_string(&listed);
        return print_line(&text.map_err(|error| CliError::failed(error.to_string()))?);
    }
    let mut out = anstream::stdout().lock();
    // A closed pipe is not an error.
    let _ = std::io::Write::write_all(&mut out, table(&nodes).as_bytes());
    Ok(())
}

const TITLES: [&str; 7] = ["node", "state", "sessions", "version", "url", "started", "last seen"];

/// A line each, under a head.
fn table(nodes: &[Node]) -> String {
    let rows: Vec<[String; 7]> = nodes.iter().map(cells).collect();
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([TITLES[column].len()]).max().unwrap_or(0)
    });
    let line = |cells: &[String; 7]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}\n", line(&TITLES.map(str::to_owned)).dimmed());
    for (row, node) in rows.iter().zip(nodes) {
        let line = line(row);
        text.push_str(&match node.state {
            NodeState::Up => line,
            NodeState::Draining => line.yellow().to_string(),
            NodeState::Left => line.dimmed().to_string(),
        });
        text.push('\n');
    }
    text
}

fn cells(node: &Node) -> [String; 7] {
    let second = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    [
        node.name.to_string(),
        node.state.as_str().to_owned(),
        node.sessions.to_string(),
        node.version.clone(),
        node.url.clone(),
        second(node.started_at),
        second(node.last_seen_at),
    ]
}

#[cfg(test)]
mod tests {
    use bellpull_domain::node::NodeName;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_node_is_a_line() {
        let node = |name: &str, state| Node {
            name: NodeName::parse(name).unwrap(),
            url: "http://192.0.2.1:8000".to_owned(),
            operator_url: String::new(),
            version: "0.1.0".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            last_seen_at: Timestamp::from_second(65).unwrap(),
            state,
            sessions: 12,
        };
        let nodes = [node("web-1", NodeState::Up), node("b", NodeState::Left)];
        let text = anstream::adapter::strip_str(&table(&nodes)).to_string();
        let wanted = "\
node   state  sessions  version  url                    started               last seen
web-1  up     12        0.1.0    http://192.0.2.1:8000  1970-01-01T00:00:00Z  1970-01-01T00:01:05Z
b      left   12        0.1.0    http://192.0.2.1:8000  1970-01-01T00:00:00Z  1970-01-01T00:01:05Z
";
        assert_eq!(text, wanted);
    }
}
