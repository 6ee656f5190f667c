//! The nodes, by the store's clock: the database server's, or the machine's where every process
//! that opens the file runs there.

use async_trait::async_trait;
use bellpull_domain::node::{LISTED_FOR, Node, NodeName, NodeState};
use bellpull_port::nodes::{Heartbeat, NewNode};
use bellpull_port::{NodeStore, StoreError};
use jiff::Timestamp;

use crate::engine::{Change, Db, Dialect, Engine, Failure, Operation, Row, now_ms, sql, values};
use crate::postgres::{class, lock};
use crate::rows::{Columns, get_name, get_time, int, string, timestamp};

/// The columns of a node.
macro_rules! node_columns {
    () => {
        "name, url, operator_url, version, started_at, last_seen_at, state, sessions"
    };
}

#[async_trait]
impl<D: Dialect> NodeStore for Engine<D> {
    async fn register_node(&self, new: NewNode) -> Result<Node, StoreError> {
        self.write(Register(new)).await
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<bool, StoreError> {
        let sql = sql!(
            "UPDATE nodes SET last_seen_at = ",
            now_ms!(),
            ", state = $3, sessions = $4 WHERE name = $1 AND started_at = $2"
        );
        let Heartbeat { name, started_at, state, sessions } = heartbeat;
        let values = values![name.as_str(), started_at, state.as_str(), sessions];
        Ok(self.write(Change::new(sql, values)).await? > 0)
    }

    async fn database_id(&self) -> Result<String, StoreError> {
        Dialect::database_id(&self.0).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let sql =
            sql!("SELECT ", node_columns!(), ", ", now_ms!(), " AS now FROM nodes ORDER BY name");
        Ok(self.rows(sql, &[], listed).await?.into_iter().flatten().collect())
    }
}

/// Registers a node as up, unless a live one has its name.
#[derive(Debug)]
struct Register(NewNode);

impl Operation for Register {
    type Answer = Node;

    async fn run(&self, db: &mut Db<'_>) -> Result<Node, Failure> {
        let NewNode { name, url, operator_url, version } = &self.0;
        let name = name.as_str();
        // Two processes that register one name at once follow each other.
        let held = sql!("{|SELECT ", lock!(node, "hashtext($1)"), "}");
        db.execute(held, values![name]).await?;
        let now_ms = db.count(sql!("SELECT ", now_ms!()), &[]).await?;
        let now = timestamp(now_ms)?;
        let sql = sql!("SELECT state, last_seen_at FROM nodes WHERE name = $1{| FOR UPDATE}");
        let holder = |row: &Row| {
            let state = get_name(row, "state", NodeState::from_name)?;
            Ok(state.at(get_time(row, "last_seen_at")?, now))
        };
        if db.optional(sql, values![name], holder).await?.is_some_and(NodeState::is_live) {
            return Err(StoreError::Taken("node").into());
        }
        let kept_ms = i64::try_from(LISTED_FOR.as_millis()).unwrap_or(i64::MAX);
        // Rows that are locked are another's that registers: it removes its own.
        let sql = sql!(
            "DELETE FROM nodes WHERE name IN (SELECT name FROM nodes WHERE last_seen_at < $1 \
             ORDER BY name{| FOR UPDATE SKIP LOCKED})"
        );
        db.execute(sql, values![now_ms.saturating_sub(kept_ms)]).await?;
        let sql = sql!(
            "INSERT INTO nodes (name, url, operator_url, version, started_at, last_seen_at, \
             state, sessions) VALUES ($1, $2, $3, $4, $5, $5, $6, 0) \
             ON CONFLICT (name) DO UPDATE SET \
             url = excluded.url, operator_url = excluded.operator_url, \
             version = excluded.version, started_at = excluded.started_at, \
             last_seen_at = excluded.last_seen_at, state = excluded.state, sessions = 0 \
             RETURNING ",
            node_columns!()
        );
        let values = values![name, url, operator_url, version, now_ms, NodeState::Up.as_str()];
        let registered = db.optional(sql, values, |row| node(row, now)).await?;
        Ok(registered.ok_or(StoreError::NotFound)?)
    }
}

/// A node, unless it left long ago.
fn listed(row: &Row) -> Result<Option<Node>, StoreError> {
    let now = get_time(row, "now")?;
    Ok(Some(node(row, now)?).filter(|node| node.is_listed(now)))
}

/// A node as it is at that time, by the clock that wrote the row.
fn node(row: &impl Columns, now: Timestamp) -> Result<Node, StoreError> {
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
