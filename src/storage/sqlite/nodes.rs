//! The nodes: here one, which is listed for the commands beside it.

use std::sync::OnceLock;

use async_trait::async_trait;
use bellpull_domain::node::Node;
use bellpull_port::clock::SystemClock;
use bellpull_port::nodes::{Heartbeat, NewNode};
use bellpull_port::{Clock, NodeStore, StoreError};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::error::unavailable;
use super::writer::{Done, NodeWrite, Write, mismatch};
use crate::node_rows::{node, node_columns};

/// Removes the nodes of earlier processes: this one has the file for itself.
pub(super) async fn forget(connection: &mut SqliteConnection) {
    if let Err(error) = sqlx::query("DELETE FROM nodes").execute(connection).await {
        tracing::warn!(%error, "nodes of earlier processes stay listed for a time");
    }
}

// The store's clock is the machine's: every process that opens the file runs there.
#[async_trait]
impl NodeStore for SqliteStore {
    async fn register_node(&self, new: NewNode) -> Result<Node, StoreError> {
        let write = Box::new(NodeWrite::Register(new));
        let Done::Node(node) = self.writer.write(Write::Node(write, SystemClock.now())).await?
        else {
            return Err(mismatch());
        };
        Ok(*node)
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<bool, StoreError> {
        let write = Box::new(NodeWrite::Heartbeat(heartbeat));
        let Done::Changed(rows) = self.writer.write(Write::Node(write, SystemClock.now())).await?
        else {
            return Err(mismatch());
        };
        Ok(rows > 0)
    }

    async fn database_id(&self) -> Result<String, StoreError> {
        // One process has the file, so the process names it, whatever copies of the file there are.
        static ID: OnceLock<u64> = OnceLock::new();
        let random = getrandom::u64().map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(format!("{:016x}", ID.get_or_init(|| random)))
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let sql = concat!("SELECT ", node_columns!(), " FROM nodes ORDER BY name");
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(unavailable)?;
        let now = SystemClock.now();
        let nodes: Result<Vec<Node>, StoreError> = rows.iter().map(|row| node(row, now)).collect();
        Ok(nodes?.into_iter().filter(|node| node.is_listed(now)).collect())
    }
}
