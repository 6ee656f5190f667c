//! Heads of inboxes, asked for in crowds: while one query is on its way the next callers gather.

use std::collections::HashMap;

use bellpull_actors::domain::ids::{Seq, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::port::StoreError;
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use super::error::unavailable;
use super::multi_row::id_list;
use super::rows::json;

/// Callers that may wait; the next one waits to be let in.
const WAITING_MAX: usize = 4096;
/// Callers answered by one query.
const TOGETHER_MAX: usize = 1024;

type Reply = oneshot::Sender<Result<Head, StoreError>>;

/// Where heads are asked for.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    queue: mpsc::Sender<(UserId, Reply)>,
}

impl Heads {
    /// Starts the task that asks; it ends with the last of its handles.
    pub(super) fn start(readers: SqlitePool) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer(readers, waiting));
        Self { queue }
    }

    /// The head of that user's inbox.
    pub(super) async fn of(&self, user: UserId) -> Result<Head, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.queue.send((user, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

async fn answer(readers: SqlitePool, mut waiting: mpsc::Receiver<(UserId, Reply)>) {
    let mut crowd = Vec::new();
    while waiting.recv_many(&mut crowd, TOGETHER_MAX).await > 0 {
        let found = read(&readers, crowd.iter().map(|(user, _)| *user)).await;
        for (user, reply) in crowd.drain(..) {
            let head = found.as_ref().map(|heads| heads.get(&user).copied().unwrap_or_default());
            // A caller that no longer waits is not missed.
            let _ = reply.send(head.map_err(Clone::clone));
        }
    }
}

async fn read(
    readers: &SqlitePool,
    users: impl Iterator<Item = UserId>,
) -> Result<HashMap<UserId, Head>, StoreError> {
    let sql = "SELECT json_group_array(json_array(user_id, last_seq, unread_count, delivered_seq, \
               forgotten_seq)) FROM inboxes WHERE user_id IN (SELECT value FROM json_each(?))";
    let text: String = sqlx::query_scalar(sql)
        .bind(id_list(users.map(|user| user.0)))
        .fetch_one(readers)
        .await
        .map_err(unavailable)?;
    let rows: Vec<(UserId, Seq, i64, Seq, Seq)> = json(&text)?;
    let head = |(user, last_seq, unread_count, delivered_seq, forgotten_seq)| {
        (user, Head { last_seq, unread_count, delivered_seq, forgotten_seq })
    };
    Ok(rows.into_iter().map(head).collect())
}
