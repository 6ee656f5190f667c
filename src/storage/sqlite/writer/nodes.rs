//! The nodes' rows: a heartbeat every few seconds.

use bellpull_domain::node::{LISTED_FOR, Node, NodeState};
use bellpull_port::StoreError;
use bellpull_port::nodes::{Heartbeat, NewNode};
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::statement::{execute, optional};
use super::failure::Failure;
use super::{Answer, Done};
use crate::error::corrupt;
use crate::rows::timestamp;

/// A change of a node's row.
#[derive(Debug)]
pub(in crate::sqlite) enum NodeWrite {
    Register(NewNode),
    Heartbeat(Heartbeat),
}

/// Applies it as of that time.
pub(super) fn apply(
    connection: &Connection,
    write: &NodeWrite,
    now: Timestamp,
) -> Result<Answer, Failure> {
    match write {
        NodeWrite::Register(new) => register(connection, new, now),
        NodeWrite::Heartbeat(heartbeat) => note(connection, heartbeat, now),
    }
}

fn register(connection: &Connection, new: &NewNode, now: Timestamp) -> Result<Answer, Failure> {
    let sql = "SELECT state, last_seen_at FROM nodes WHERE name = ?";
    let read = |row: &rusqlite::Row<'_>| <(String, i64)>::try_from(row);
    if let Some((state, seen_ms)) = optional(connection, sql, (new.name.as_str(),), read)? {
        let state = NodeState::from_name(&state).ok_or_else(|| corrupt("state"))?;
        if state.at(timestamp(seen_ms)?, now).is_live() {
            return Ok(Err(StoreError::Taken("node")));
        }
    }
    let now_ms = now.as_millisecond();
    let kept_ms = i64::try_from(LISTED_FOR.as_millis()).unwrap_or(i64::MAX);
    let before_ms = now_ms.saturating_sub(kept_ms);
    execute(connection, "DELETE FROM nodes WHERE last_seen_at < ?", (before_ms,))?;
    let sql = "INSERT OR REPLACE INTO nodes (name, url, operator_url, version, started_at, \
               last_seen_at, state, sessions) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, 0)";
    let (name, state) = (new.name.as_str(), NodeState::Up);
    let values = (name, &new.url, &new.operator_url, &new.version, now_ms, state.as_str());
    execute(connection, sql, values)?;
    let at = timestamp(now_ms)?;
    let NewNode { name, url, operator_url, version } = new.clone();
    let (started_at, last_seen_at) = (at, at);
    let node =
        Node { name, url, operator_url, version, started_at, last_seen_at, state, sessions: 0 };
    Ok(Ok(Done::Node(Box::new(node))))
}

fn note(connection: &Connection, said: &Heartbeat, now: Timestamp) -> Result<Answer, Failure> {
    let sql = "UPDATE nodes SET last_seen_at = ?, state = ?, sessions = ? \
               WHERE name = ? AND started_at = ?";
    let (seen_ms, started_ms) = (now.as_millisecond(), said.started_at.as_millisecond());
    let values = (seen_ms, said.state.as_str(), said.sessions, said.name.as_str(), started_ms);
    Ok(Ok(Done::Changed(execute(connection, sql, values)?)))
}
