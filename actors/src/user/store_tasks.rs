//! What a user actor has done outside of itself: reads and saves, each a task that casts back.

use std::time::Duration;

use super::session::Loaded;
use super::{Own, OwnMessage, UserEntity, UserMessage};
use crate::domain::ids::{Seq, UserId};
use crate::domain::inbox::Head;
use crate::port::inbox::Backlog;
use crate::port::{InboxStore, StoreError};
use crate::session::Begin;
use crate::vitals::Handle;

/// How long missing numbers may take to arrive by themselves. Hints of tickets that were committed
/// together arrive within a millisecond of each other; one that is lost costs this much.
const GAP_PATIENCE: Duration = Duration::from_millis(20);

/// How many births are read at once.
const PAGE: u32 = 500;

/// How long the store may take; its own limit is 5 s, this is for one that keeps no limit.
const STORE_MAX: Duration = Duration::from_secs(8);

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
            let loaded = in_time(backlog(&*inboxes, user, begin, delivered, limit)).await;
            own.cast(UserMessage::Own(OwnMessage(Own::Loaded { session, loaded })));
        });
    }

    /// Reads what came while a session could not be shown more: a page of it, with nothing left out.
    pub(super) fn load_more(
        &self,
        own: Handle<UserMessage>,
        user: UserId,
        session: u32,
        after: Seq,
    ) {
        let inboxes = std::sync::Arc::clone(&self.inboxes);
        tokio::spawn(async move {
            let loaded = in_time(page(&*inboxes, user, after)).await;
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
            let read = in_time(page(&*inboxes, user, after)).await;
            let read = read.map(|page| (page.head, page.births));
            own.cast(UserMessage::Own(OwnMessage(Own::Filled(read))));
        });
    }

    /// Asks the store how far the inbox has come.
    pub(super) fn compare(&self, own: Handle<UserMessage>, user: UserId) {
        let inboxes = std::sync::Arc::clone(&self.inboxes);
        tokio::spawn(async move {
            if let Ok(head) = in_time(inboxes.head(user)).await {
                own.cast(UserMessage::Own(OwnMessage(Own::Compared(head.last_seq))));
            }
        });
    }

    /// Saves the delivered position now.
    pub(super) fn save(&self, own: Handle<UserMessage>, user: UserId, delivered: Seq) {
        let inboxes = std::sync::Arc::clone(&self.inboxes);
        tokio::spawn(async move {
            let saved = match in_time(inboxes.save_delivered(&[(user, delivered)])).await {
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

/// Does it within [`STORE_MAX`].
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable("it did not answer in time".to_owned());
    tokio::time::timeout(STORE_MAX, work).await.map_err(late)?
}

/// The births after a position: all of them, or a full page.
async fn page(inboxes: &dyn InboxStore, user: UserId, after: Seq) -> Result<Loaded, StoreError> {
    let (head, births) = inboxes.births(user, after, PAGE).await?;
    // A full page may not be all there is: it is complete only up to its last row.
    let is_full = u32::try_from(births.len()).is_ok_and(|count| count >= PAGE);
    let last = births.last().map(|birth| birth.seq).filter(|_| is_full);
    let complete = last.unwrap_or(head.last_seq);
    let is_whole = complete >= head.last_seq;
    let delivered = head.delivered_seq;
    Ok(Loaded { head: complete, delivered, skipped: 0, births, is_whole })
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
    let loaded = |head: Head, skipped, births| Loaded {
        head: head.last_seq,
        delivered: head.delivered_seq,
        skipped,
        births,
        is_whole: true,
    };
    let after = match begin {
        Begin::Live => head.last_seq,
        // A position ahead of the store was not given by this store: it says nothing.
        Begin::Since(since) if since <= head.last_seq => since,
        Begin::Since(_) | Begin::Undelivered => delivered,
    };
    if after >= head.last_seq {
        return Ok(loaded(head, 0, Vec::new()));
    }
    let Backlog { head, skipped, births } = inboxes.newest_births(user, after, limit).await?;
    Ok(loaded(head, skipped, births))
}
