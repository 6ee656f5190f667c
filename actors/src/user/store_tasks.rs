//! What a user actor has done outside of itself: reads and saves, each a task that casts back.

use std::time::Duration;

use super::session::Loaded;
use super::{Own, OwnMessage, UserEntity, UserMessage};
use crate::domain::ids::{Seq, UserId};
use crate::port::inbox::Backlog;
use crate::port::{InboxStore, StoreError};
use crate::session::Begin;
use crate::vitals::Handle;

/// How long missing numbers may take to arrive by themselves. Hints of tickets that were committed
/// together arrive within a millisecond of each other; one that is lost costs this much.
const GAP_PATIENCE: Duration = Duration::from_millis(20);

/// How many births of a gap are read at once.
const GAP_PAGE: u32 = 500;

impl UserEntity {
    /// Reads a session's backlog.
    pub(super) fn load(
        &self,
        own: Handle<UserMessage>,
        user: UserId,
        session: u32,
        begin: Begin,
        delivered: Seq,
    ) {
        let (inboxes, limit) = (std::sync::Arc::clone(&self.inboxes), self.limits.replay_max);
        tokio::spawn(async move {
            let loaded = backlog(&*inboxes, user, begin, delivered, limit).await;
            own.cast(UserMessage::Own(OwnMessage(Own::Loaded { session, loaded })));
        });
    }

    /// Gives missing numbers their moment.
    pub(super) fn wait_for_gap(own: Handle<UserMessage>, patience: Option<Duration>) {
        tokio::spawn(async move {
            tokio::time::sleep(patience.unwrap_or(GAP_PATIENCE)).await;
            own.cast(UserMessage::Own(OwnMessage(Own::GapDue)));
        });
    }

    /// Reads the births after a position.
    pub(super) fn read_gap(&self, own: Handle<UserMessage>, user: UserId, after: Seq) {
        let inboxes = std::sync::Arc::clone(&self.inboxes);
        tokio::spawn(async move {
            let read = inboxes.births(user, after, GAP_PAGE).await.map(|(head, births)| {
                // A full page may not be all there is: it is complete only up to its last row.
                let is_full = u32::try_from(births.len()).is_ok_and(|count| count >= GAP_PAGE);
                let last = births.last().map(|birth| birth.seq).filter(|_| is_full);
                (last.unwrap_or(head.last_seq), births)
            });
            own.cast(UserMessage::Own(OwnMessage(Own::Filled(read))));
        });
    }

    /// Asks the store how far the inbox has come.
    pub(super) fn compare(&self, own: Handle<UserMessage>, user: UserId) {
        let inboxes = std::sync::Arc::clone(&self.inboxes);
        tokio::spawn(async move {
            if let Ok(head) = inboxes.head(user).await {
                own.cast(UserMessage::Own(OwnMessage(Own::Compared(head.last_seq))));
            }
        });
    }

    /// Saves the delivered position now.
    pub(super) fn save(&self, own: Handle<UserMessage>, user: UserId, delivered: Seq) {
        let inboxes = std::sync::Arc::clone(&self.inboxes);
        tokio::spawn(async move {
            let saved = match inboxes.save_delivered(&[(user, delivered)]).await {
                Ok(()) => Own::Saved(delivered),
                Err(error) => {
                    tracing::warn!(%error, user = user.0, "a delivered position was not saved");
                    Own::NotSaved
                }
            };
            own.cast(UserMessage::Own(OwnMessage(saved)));
        });
    }
}

/// What a session that begins there is to be shown. A user with nothing new costs one joined read.
async fn backlog(
    inboxes: &dyn InboxStore,
    user: UserId,
    begin: Begin,
    delivered: Seq,
    limit: u32,
) -> Result<Loaded, StoreError> {
    let head = inboxes.head(user).await?;
    let delivered = delivered.max(head.delivered_seq);
    let after = match begin {
        Begin::Live => head.last_seq,
        // A position ahead of the store was not given by this store: it says nothing.
        Begin::Since(since) if since <= head.last_seq => since,
        Begin::Since(_) | Begin::Undelivered => delivered,
    };
    if after >= head.last_seq {
        return Ok(Loaded { head: head.last_seq, delivered, skipped: 0, births: Vec::new() });
    }
    let Backlog { head, skipped, births } = inboxes.newest_births(user, after, limit).await?;
    Ok(Loaded { head: head.last_seq, delivered, skipped, births })
}
