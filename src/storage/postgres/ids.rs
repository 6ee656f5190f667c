//! Ids in blocks: one round trip to a sequence gives a node as many as the sequence's increment.
//!
//! A plan draws its ids in memory. If a block does not suffice, the plan is thrown away, the block
//! is filled up, and the plan is made anew: see [`Draws`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellpull_domain::ids::{CommentId, DeliveryId, MessageId, NotificationId};
use bellpull_domain::plan;

use super::database::{Connection, Database};

/// The kinds of ids that are given out in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Sequence {
    /// Tickets.
    Tickets,
    /// Comments.
    Comments,
    /// Sends.
    Sends,
    /// Messages.
    Messages,
    /// Notifications.
    Notifications,
    /// Deliveries.
    Deliveries,
    /// Entries of the audit log.
    AuditLog,
}

/// Each with its name and its increment; the migration has the same.
const ALL: [(Sequence, &str, i64); 7] = [
    (Sequence::Tickets, "ticket_ids", 16),
    (Sequence::Comments, "comment_ids", 64),
    (Sequence::Sends, "send_ids", 64),
    (Sequence::Messages, "message_ids", 1024),
    (Sequence::Notifications, "notification_ids", 8192),
    (Sequence::Deliveries, "delivery_ids", 8192),
    (Sequence::AuditLog, "audit_log_id_seq", 1),
];

/// The ids that this node may give out.
#[derive(Debug, Default)]
pub(in super::super) struct BlockIds {
    blocks: [Mutex<Block>; ALL.len()],
    is_filling: AtomicBool,
}

/// Ranges of ids that are left.
#[derive(Debug, Default)]
struct Block {
    left: VecDeque<(i64, i64)>,
    is_used: bool,
}

impl Block {
    fn next(&mut self) -> Option<i64> {
        self.is_used = true;
        let (from, until) = self.left.front_mut()?;
        let id = *from;
        *from += 1;
        if *from == *until {
            self.left.pop_front();
        }
        Some(id)
    }
}

impl BlockIds {
    fn block(&self, sequence: Sequence) -> MutexGuard<'_, Block> {
        self.blocks[sequence as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next id, if the block has one.
    pub(in super::super) fn take(&self, sequence: Sequence) -> Option<i64> {
        self.block(sequence).next()
    }

    /// Takes blocks for as many ids as a group has drawn: those that it drew are used up, and the
    /// next try draws as many again.
    pub(super) async fn fill(&self, connection: &mut Connection, drawn: Drawn) -> sqlx::Result<()> {
        for ((sequence, ..), count) in ALL.into_iter().zip(drawn) {
            if count > 0 {
                self.reserve(connection, sequence, count).await?;
            }
        }
        Ok(())
    }

    /// Takes blocks of those ids of which few are left, in the background: the groups that need
    /// them would wait for them otherwise.
    pub(super) fn fill_early(self: &Arc<Self>, database: &Database) {
        let low: Drawn = ALL.map(|(sequence, _, increment)| {
            let block = self.block(sequence);
            let left: i64 = block.left.iter().map(|(from, until)| until - from).sum();
            i64::from(block.is_used && left < increment / 2)
        });
        if low == Drawn::default() || self.is_filling.swap(true, Ordering::Relaxed) {
            return;
        }
        let (ids, database) = (Arc::clone(self), database.clone());
        tokio::spawn(async move {
            if let Ok(mut connection) = database.acquire().await {
                // Without them a group takes them itself.
                let _ = ids.fill(&mut connection, low).await;
            }
            ids.is_filling.store(false, Ordering::Relaxed);
        });
    }

    /// Takes blocks with at least `count` ids.
    pub(in super::super) async fn reserve(
        &self,
        connection: &mut Connection,
        sequence: Sequence,
        count: i64,
    ) -> sqlx::Result<()> {
        let (_, name, increment) = ALL[sequence as usize];
        let blocks = count.div_euclid(increment) + 1;
        let sql = "SELECT nextval($1::regclass) FROM generate_series(1, $2)";
        let query = sqlx::query_scalar(sql).bind(name).bind(blocks);
        let begins: Vec<i64> = query.fetch_all(connection).await?;
        let mut block = self.block(sequence);
        block.left.extend(begins.into_iter().map(|from| (from, from + increment)));
        Ok(())
    }
}

/// How many ids of each sequence a group has drawn, in the order of the sequences.
pub(super) type Drawn = [i64; ALL.len()];

/// The ids that one group draws. The blocks are shared by all of this node's groups; what is
/// drawn is counted for each group alone.
#[derive(Debug)]
pub(super) struct Draws<'a> {
    ids: &'a BlockIds,
    drawn: [AtomicI64; ALL.len()],
    is_short: AtomicBool,
}

impl<'a> Draws<'a> {
    /// None is drawn yet.
    pub(super) fn new(ids: &'a BlockIds) -> Self {
        Self { ids, drawn: Default::default(), is_short: AtomicBool::new(false) }
    }

    /// The next id; 0 if none is left, see [`Self::short`].
    pub(super) fn draw(&self, sequence: Sequence) -> i64 {
        self.drawn[sequence as usize].fetch_add(1, Ordering::Relaxed);
        self.ids.take(sequence).unwrap_or_else(|| {
            self.is_short.store(true, Ordering::Relaxed);
            0
        })
    }

    /// What was drawn, if there was not enough: then none of the drawn ids may be written.
    pub(super) fn short(&self) -> Option<Drawn> {
        let is_short = self.is_short.load(Ordering::Relaxed);
        is_short.then(|| std::array::from_fn(|nth| self.drawn[nth].load(Ordering::Relaxed)))
    }
}

impl plan::Ids for Draws<'_> {
    fn message(&self) -> MessageId {
        MessageId(self.draw(Sequence::Messages))
    }

    fn notification(&self) -> NotificationId {
        NotificationId(self.draw(Sequence::Notifications))
    }

    fn delivery(&self) -> DeliveryId {
        DeliveryId(self.draw(Sequence::Deliveries))
    }

    fn comment(&self) -> CommentId {
        CommentId(self.draw(Sequence::Comments))
    }
}
