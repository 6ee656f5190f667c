//! Work outside of a user actor: reads and saves, each a task that casts its result back.

use std::time::Duration;

use super::UserEntity;
use super::backlog::{self, Loaded, Reading};
use super::own::Own;
use crate::domain::ids::{MessageId, Seq, UserId};
use crate::messages::UserMessage;
use crate::port::inbox::TEXTS_BYTES_MAX;
use crate::port::{StoreError, in_time};
use crate::session::Feed;
use crate::vitals::Handle;

/// How long missing numbers may take to arrive. Hints of tickets that were committed together
/// arrive within a millisecond of each other; a lost one costs this much.
const GAP_PATIENCE: Duration = Duration::from_millis(20);

impl UserEntity {
    /// Reads a session's backlog.
    pub(super) fn load(
        &self,
        own: Handle<UserMessage>,
        user: UserId,
        session: u32,
        feed: Feed,
        delivered: Seq,
    ) {
        let shared = self.shared();
        tokio::spawn(async move {
            let limit = shared.limits.replay_max;
            let read =
                backlog::backlog(&*shared.inboxes, &shared.unsent, user, feed, delivered, limit);
            let loaded = in_time(read).await;
            own.cast(Own::Loaded { session, loaded }.into());
        });
    }

    /// Reads the changes of the time in which a session could not be shown more: none is left out.
    pub(super) fn load_more(
        &self,
        own: Handle<UserMessage>,
        user: UserId,
        session: u32,
        after: Seq,
    ) {
        let shared = self.shared();
        tokio::spawn(async move {
            let inboxes = &*shared.inboxes;
            let read = async {
                let room = shared.unsent.reserve(TEXTS_BYTES_MAX).await;
                let loaded = whole(backlog::changes(inboxes, user, after).await?)?;
                Ok(Loaded { room, ..loaded })
            };
            let loaded = in_time(read).await;
            own.cast(Own::Loaded { session, loaded }.into());
        });
    }

    /// Reads the next texts of a backlog.
    pub(super) fn read_texts(
        &self,
        own: Handle<UserMessage>,
        session: u32,
        messages: Vec<MessageId>,
    ) {
        let shared = self.shared();
        tokio::spawn(async move {
            let read = backlog::texts(&*shared.inboxes, &shared.unsent, &messages);
            let texts = in_time(read).await;
            own.cast(Own::Texts { session, texts }.into());
        });
    }

    /// Waits for missing numbers.
    pub(super) fn wait_for_gap(own: Handle<UserMessage>, patience: Option<Duration>) {
        tokio::spawn(async move {
            tokio::time::sleep(patience.unwrap_or(GAP_PATIENCE)).await;
            own.cast(Own::GapDue.into());
        });
    }

    /// Reads the changes after a position.
    pub(super) fn read_gap(&self, own: Handle<UserMessage>, user: UserId, after: Seq) {
        let shared = self.shared();
        tokio::spawn(async move {
            let read = in_time(backlog::changes(&*shared.inboxes, user, after)).await;
            let read = read.map(|(reading, _)| reading);
            own.cast(Own::Filled(read).into());
        });
    }

    /// Asks the store for the inbox' last number.
    pub(super) fn compare(&self, own: Handle<UserMessage>, user: UserId) {
        let shared = self.shared();
        tokio::spawn(async move {
            if let Ok(head) = in_time(shared.inboxes.head(user)).await {
                own.cast(Own::Compared(head.last_seq).into());
            }
        });
    }

    /// Saves the delivered position now.
    pub(super) fn save(&self, own: Handle<UserMessage>, user: UserId, delivered: Seq) {
        let shared = self.shared();
        tokio::spawn(async move {
            let saved = match in_time(shared.inboxes.save_delivered(&[(user, delivered)])).await {
                Ok(()) => Own::Saved(delivered),
                Err(error) => {
                    tracing::warn!(%error, user = user.0, "a delivered position was not saved");
                    Own::NotSaved
                }
            };
            own.cast(saved.into());
        });
    }
}

/// A stretch in the form in which a session continues with it.
fn whole((reading, delivered): (Reading, Seq)) -> Result<Loaded, StoreError> {
    let Reading::Whole(stretch) = reading else {
        return Err(StoreError::Unavailable("the session has fallen too far behind".to_owned()));
    };
    Ok(Loaded {
        stretch,
        delivered,
        skipped: 0,
        is_contiguous: false,
        is_resumed: true,
        room: None,
    })
}
