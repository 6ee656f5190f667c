//! The nodes, by the server's clock.

use async_trait::async_trait;
use bellpull_domain::node::{LISTED_FOR, Node, NodeState};
use bellpull_port::nodes::{Heartbeat, NewNode};
use bellpull_port::{NodeStore, StoreError};

use super::PostgresStore;
use super::database::Connection;
use super::locks::{class, lock};
use super::transaction::{Work, failed};
use crate::node_rows::{node, node_columns};
use crate::rows::{get_name, get_time, int, timestamp};

/// Milliseconds since 1970, now and not at the transaction's begin: it may have waited for a lock.
macro_rules! now_ms {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// The server's directory, which its standbys share, and the database in it.
pub(crate) const DATABASE_ID: &str = "SELECT (SELECT system_identifier FROM pg_control_system())::text || ':' || oid \
     FROM pg_database WHERE datname = current_database()";

#[async_trait]
impl NodeStore for PostgresStore {
    async fn register_node(&self, new: NewNode) -> Result<Node, StoreError> {
        let mut work = self.begin().await?;
        match register(&mut work, &new).await {
            Ok(node) => {
                work.commit().await?;
                Ok(node)
            }
            Err(error) => {
                work.roll_back().await;
                Err(error)
            }
        }
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<bool, StoreError> {
        let sql = concat!(
            "UPDATE nodes SET last_seen_at = ",
            now_ms!(),
            ", state = $3, sessions = $4 WHERE name = $1 AND started_at = $2"
        );
        let query = sqlx::query(sql)
            .bind(heartbeat.name.as_str())
            .bind(heartbeat.started_at.as_millisecond())
            .bind(heartbeat.state.as_str())
            .bind(i64::from(heartbeat.sessions));
        Ok(query.execute(&self.pool).await.map_err(failed)?.rows_affected() > 0)
    }

    async fn database_id(&self) -> Result<String, StoreError> {
        sqlx::query_scalar(DATABASE_ID).fetch_one(&self.pool).await.map_err(failed)
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let sql = concat!(
            "SELECT ",
            node_columns!(),
            ", ",
            now_ms!(),
            " AS now FROM nodes ORDER BY name"
        );
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed)?;
        let mut nodes = Vec::with_capacity(rows.len());
        for row in &rows {
            let now = get_time(row, "now")?;
            let node = node(row, now)?;
            if node.is_listed(now) {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }
}

async fn register(work: &mut Work, new: &NewNode) -> Result<Node, StoreError> {
    // Two processes that register one name at once follow each other.
    let sql = concat!("SELECT ", lock!(node, "hashtext($1)"));
    sqlx::query(sql).bind(new.name.as_str()).execute(&mut **work).await.map_err(failed)?;
    let now_ms = now_ms(work).await?;
    let now = timestamp(now_ms)?;
    let sql = "SELECT state, last_seen_at FROM nodes WHERE name = $1 FOR UPDATE";
    let holder = sqlx::query(sql).bind(new.name.as_str()).fetch_optional(&mut **work).await;
    if let Some(row) = holder.map_err(failed)? {
        let state = get_name(&row, "state", NodeState::from_name)?;
        if state.at(get_time(&row, "last_seen_at")?, now).is_live() {
            return Err(StoreError::Taken("node"));
        }
    }
    let kept_ms = i64::try_from(LISTED_FOR.as_millis()).unwrap_or(i64::MAX);
    // Rows that are locked are another's that registers: it removes its own.
    let sql = "DELETE FROM nodes WHERE name IN (SELECT name FROM nodes WHERE last_seen_at < $1 \
               ORDER BY name FOR UPDATE SKIP LOCKED)";
    let query = sqlx::query(sql).bind(now_ms.saturating_sub(kept_ms));
    query.execute(&mut **work).await.map_err(failed)?;
    let sql = concat!(
        "INSERT INTO nodes (name, url, operator_url, version, started_at, last_seen_at, state, \
         sessions) VALUES ($1, $2, $3, $4, $5, $5, $6, 0) ON CONFLICT (name) DO UPDATE SET \
         url = excluded.url, operator_url = excluded.operator_url, version = excluded.version, \
         started_at = excluded.started_at, last_seen_at = excluded.last_seen_at, \
         state = excluded.state, sessions = 0 RETURNING ",
        node_columns!()
    );
    let row = sqlx::query(sql)
        .bind(new.name.as_str())
        .bind(&new.url)
        .bind(&new.operator_url)
        .bind(&new.version)
        .bind(now_ms)
        .bind(NodeState::Up.as_str())
        .fetch_one(&mut **work)
        .await
        .map_err(failed)?;
    node(&row, now)
}

async fn now_ms(connection: &mut Connection) -> Result<i64, StoreError> {
    let row = sqlx::query(concat!("SELECT ", now_ms!(), " AS now"));
    int(&row.fetch_one(connection).await.map_err(failed)?, "now")
}
