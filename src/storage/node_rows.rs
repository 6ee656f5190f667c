//! Rows of the nodes, of either database.

use bellpull_domain::node::{Node, NodeName, NodeState};
use bellpull_port::StoreError;
use jiff::Timestamp;

use super::rows::{Columns, get_name, get_time, int, string};

/// The columns of a node.
macro_rules! node_columns {
    () => {
        "name, url, operator_url, version, started_at, last_seen_at, state, sessions"
    };
}
pub(super) use node_columns;

/// A node as it is at that time, by the clock that wrote the row.
pub(super) fn node(row: &impl Columns, now: Timestamp) -> Result<Node, StoreError> {
    let last_seen_at = get_time(row, "last_seen_at")?;
    Ok(Node {
        name: get_name(row, "name", NodeName::parse)?,
        url: string(row, "url")?,
        operator_url: string(row, "operator_url")?,
        version: string(row, "version")?,
        started_at: get_time(row, "started_at")?,
        last_seen_at,
        state: get_name(row, "state", NodeState::from_name)?.at(last_seen_at, now),
        sessions: u32::try_from(int(row, "sessions")?).unwrap_or(0),
    })
}
