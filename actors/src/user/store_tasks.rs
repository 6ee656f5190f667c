//! Work outside of a user actor: reads and saves, each a task that casts its result back.

use std::time::Duration;

use ractor::ActorRef;

use super::backlog::{self, Loaded, Reading};
use super::confirm;
use super::follow::Question;
use super::own::Own;
use super::{UserEntity, UserState};
use crate::messages::UserMessage;
use crate::vitals::Handle;
use bellpull_domain::ids::{MessageId, Seq, UserId};
use bellpull_domain::inbox::Reached;
use bellpull_port::inbox::TEXTS_BYTES_MAX;
use bellpull_port::session::Feed;
use bellpull_port::{StoreError, in_time};

/// How long missing numbers may take to arrive. Hints of tickets that were committed together
/// arrive within a millisecond of each other; a lost one costs this much.
const GAP_PATIENCE: Duration = Duration::from_millis(20);

impl UserEntity {
    /// Reads a session's backlog. What was delivered to others of the user's counts as far as the
    /// store confirms it.
    pub(super) fn load(
        &self,
        myself: &ActorRef<UserMessage>,
        (session, feed): (u32, Feed),
        known: Reached,
        state: &UserState,
    ) {
        let (shared, own, user) = (self.shared(), state.own(myself), state.id);
        let question = state.follow.question();
        tokio::spawn(async move {
            let limit = shared.limits.replay_max;
            let read = async {
                let inboxes = &*shared.inboxes;
                let sure = confirm::believed(inboxes, user, known.delivered, &question).await?;
                let known = known.up_to(sure);
                backlog::backlog(inboxes, &shared.unsent, user, feed, known, limit).await
            };
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
    pub(super) fn read_gap(&self, own: Handle<UserMessage>, user: UserId, after: Seq, heard: Seq) {
        let shared = self.shared();
        tokio::spawn(async move {
            let read = in_time(backlog::changes(&*shared.inboxes, user, after)).await;
            let read = read.map(|(reading, _)| reading);
            own.cast(Own::Filled { heard, read }.into());
        });
    }

    /// Asks the store how far the inbox has come, and for what is not confirmed.
    pub(super) fn compare(&self, own: Handle<UserMessage>, user: UserId, question: Question) {
        let shared = self.shared();
        tokio::spawn(async move {
            if let Ok(compared) = in_time(confirm::ask(&*shared.inboxes, user, question)).await {
                own.cast(Own::Compared(compared).into());
            }
        });
    }

    /// Saves the positions now, as far as the store confirms them.
    pub(super) fn save(
        &self,
        own: Handle<UserMessage>,
        user: UserId,
        reached: Reached,
        question: Question,
    ) {
        let shared = self.shared();
        tokio::spawn(async move {
            let save = confirm::save(&*shared.inboxes, user, reached, question);
            let saved = match in_time(save).await {
                Ok(None) => Own::Saved(reached),
                Ok(Some(refused)) => {
                    own.cast(Own::Compared(refused).into());
                    Own::NotSaved
                }
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
        stored: delivered.into(),
        unacknowledged_from: None,
        skipped: 0,
        is_contiguous: false,
        is_resumed: true,
        room: None,
    })
}
