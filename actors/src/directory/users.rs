//! Handles to the user actors, and a session's handle to its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use jiff::Timestamp;
use metrics::Gauge;

use super::{Channels, Directory, Unanswered};
use crate::fan_out::FanOutGuard;
use crate::marking::Marking;
use crate::messages::{Attach, AttachError, Session, UserMessage, UserProtocol};
use bellpull_domain::ids::{LoginId, Seq, UserId};
use bellpull_domain::inbox::{Change, Mark, MessageContent};
use bellpull_domain::routing;
use bellpull_domain::user::User;
use bellpull_port::broker::{Broker, BrokerMessage};
use bellpull_port::inbox::Selection;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::SessionStart;
use bellpull_port::tickets::{AnnouncedMessage, InboxEntry};
use bellpull_port::trace::Trace;
use bellpull_port::{InboxStore, SharedLimits, StoreError};

/// How many actors are sent messages before the task yields to them: their messages and the state
/// that they touch are then still in the processor's cache, and all of them fit into the worker's
/// own queue, which has room for 256.
const TOLD_AT_ONCE: usize = 32;

/// The reason for a session that cannot be accepted now.
const COME_BACK: Ending = Ending::Restarting { retry_after_ms: 1_000 };

/// Handles to the user actors.
#[derive(Debug, Clone)]
pub struct Users {
    pub(crate) directory: Directory<UserProtocol>,
    pub(crate) inboxes: Arc<dyn InboxStore>,
    pub(crate) sessions: Arc<SessionCount>,
    pub(crate) is_draining: Arc<AtomicBool>,
    pub(crate) is_comparing: Arc<AtomicBool>,
    pub(crate) channels: Channels,
    pub(crate) broker: Arc<dyn Broker>,
}

/// How many sessions this node has; the gauge beside it is looked up once.
#[derive(Debug)]
pub(crate) struct SessionCount {
    count: AtomicUsize,
    gauge: Gauge,
}

impl SessionCount {
    /// None, of a hub that begins.
    pub(crate) fn new() -> Arc<Self> {
        let gauge = metrics::gauge!("bellpull_sessions");
        Arc::new(Self { count: AtomicUsize::new(0), gauge })
    }

    fn come(&self) {
        self.count.fetch_add(1, Relaxed);
        self.gauge.increment(1.0);
    }

    fn go(&self) {
        self.count.fetch_sub(1, Relaxed);
        self.gauge.decrement(1.0);
    }

    fn get(&self) -> usize {
        self.count.load(Relaxed)
    }
}

/// Counts a session for as long as it is kept, however it ends.
#[derive(Debug)]
pub(crate) struct Counted(Arc<SessionCount>);

impl Counted {
    pub(crate) fn new(count: &Arc<SessionCount>) -> Self {
        count.come();
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.go();
    }
}

impl Users {
    /// Messages that wait in their mailboxes.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.directory.waiting()
    }

    /// Gives a session to its user's actor, which greets it, sends its backlog and then live
    /// changes. On failure the outlet has been closed with the matching [`Ending`].
    ///
    /// # Errors
    /// See [`AttachError`].
    pub async fn attach(
        &self,
        account: Arc<User>,
        start: SessionStart,
    ) -> Result<Session, AttachError> {
        if self.is_draining.load(Relaxed) {
            start.outlet.close(COME_BACK);
            return Err(AttachError::Unavailable);
        }
        let id = account.id;
        match self.directory.ask(id, Attach { account, start }, UserMessage::Attach).await {
            Ok(attached) => attached,
            Err(Unanswered::Returned(attach)) => {
                attach.start.outlet.close(COME_BACK);
                Err(AttachError::Unavailable)
            }
            // The actor died with the outlet, which has closed itself.
            Err(Unanswered::Lost) => Err(AttachError::Unavailable),
        }
    }

    /// The limits that this node shares with the others; `None`: it counts alone.
    #[must_use]
    pub fn shared_limits(&self) -> Option<Arc<dyn SharedLimits>> {
        self.broker.shared_limits()
    }

    /// Sends a change to the user's sessions, on every node.
    pub fn tell(&self, user: UserId, change: Change) {
        // A copy only where other nodes need it after our own actor has taken it.
        let copy = self.broker.has_peers().then(|| change.clone());
        self.tell_own(user, change);
        if let Some(change) = &copy {
            self.broker.publish(BrokerMessage::Changed { user, change });
        }
    }

    /// The same on this node alone.
    pub(crate) fn tell_own(&self, user: UserId, change: Change) {
        if let Some(actor) = self.directory.live.get(&user) {
            actor.cast(UserMessage::Changed { change, fan_out: None });
        }
    }

    /// The same for a change that another node has announced.
    pub(crate) fn tell_peers(&self, user: UserId, change: Change) {
        if let Some(actor) = self.directory.live.get(&user) {
            actor.cast(UserMessage::ChangedElsewhere(change));
        }
    }

    /// The recipients on this node of what another node has announced.
    pub(crate) fn tell_all_peers(&self, announced: &AnnouncedMessage) {
        self.channels.nudge(announced.channels);
        for placed in &announced.entries {
            if let Some(actor) = self.directory.live.get(&placed.recipient) {
                actor.cast(UserMessage::ChangedElsewhere(announced.change(*placed)));
            }
        }
    }

    /// This node's actors of these users are told how far their inboxes have come; each reads what
    /// it misses from the store.
    pub(crate) fn tell_heads_own(&self, heads: &[(UserId, Seq)]) {
        for (user, last) in heads {
            if let Some(actor) = self.directory.live.get(user) {
                actor.cast(UserMessage::Reached(*last));
            }
        }
    }

    /// Makes this node's users compare their inboxes with the store. Returns at once; a comparison
    /// that is still being requested is not requested again.
    pub(crate) fn compare_own(&self) {
        if self.is_comparing.swap(true, Relaxed) {
            return;
        }
        let users = self.clone();
        tokio::spawn(async move {
            let ids: Vec<UserId> = users.directory.live.iter().map(|entry| *entry.key()).collect();
            for some in ids.chunks(TOLD_AT_ONCE) {
                for id in some {
                    if let Some(actor) = users.directory.live.get(id) {
                        actor.cast(UserMessage::Compare);
                    }
                }
                tokio::task::yield_now().await;
            }
            users.is_comparing.store(false, Relaxed);
        });
    }

    /// Sends an announcement to its recipients' sessions, on every node, and nudges the channels.
    pub fn tell_all(&self, announced: &AnnouncedMessage) {
        self.tell_all_own(announced);
        self.broker.publish(BrokerMessage::Announced(announced));
    }

    /// The same on this node alone.
    pub(crate) fn tell_all_own(&self, announced: &AnnouncedMessage) {
        note_announced(&announced.content);
        self.channels.nudge(announced.channels);
        self.tell_entries(announced, &announced.entries, None);
    }

    /// The same, yielding to the recipients, for there may be many of them.
    pub(crate) async fn tell_many(
        &self,
        announced: &AnnouncedMessage,
        fan_out: Option<&FanOutGuard>,
    ) {
        note_announced(&announced.content);
        self.channels.nudge(announced.channels);
        for entries in announced.entries.chunks(TOLD_AT_ONCE) {
            self.tell_entries(announced, entries, fan_out);
            if entries.len() == TOLD_AT_ONCE {
                tokio::task::yield_now().await;
            }
        }
        self.broker.publish(BrokerMessage::Announced(announced));
    }

    fn tell_entries(
        &self,
        announced: &AnnouncedMessage,
        entries: &[InboxEntry],
        fan_out: Option<&FanOutGuard>,
    ) {
        for placed in entries {
            if let Some(actor) = self.directory.live.get(&placed.recipient) {
                let change = announced.change(*placed);
                actor.cast(UserMessage::Changed { change, fan_out: fan_out.map(Arc::clone) });
            }
        }
    }

    /// Sends several announcements that were written together, to each recipient all of its own at
    /// once; else as [`Self::tell_all`]. The fan-out ends when all recipients have shown it.
    pub(crate) async fn tell_together(
        &self,
        announced: &[AnnouncedMessage],
        fan_out: &FanOutGuard,
    ) {
        if let [only] = announced {
            return self.tell_many(only, Some(fan_out)).await;
        }
        let mut changes: BTreeMap<UserId, Vec<Change>> = BTreeMap::new();
        for announced in announced {
            note_announced(&announced.content);
            self.channels.nudge(announced.channels);
            for placed in &announced.entries {
                changes.entry(placed.recipient).or_default().push(announced.change(*placed));
            }
        }
        for (nth, (user, changes)) in (1_usize..).zip(changes) {
            if let Some(actor) = self.directory.live.get(&user) {
                actor.cast(UserMessage::ChangedTogether { changes, fan_out: Arc::clone(fan_out) });
            }
            if nth % TOLD_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        for announced in announced {
            self.broker.publish(BrokerMessage::Announced(announced));
        }
    }

    /// Marks rows of the user's inbox, portion by portion, and tells all of the user's sessions of
    /// each; returns how many rows changed. A later portion waits until the store has written what
    /// other callers ask for, so that the rows of one user keep no other waiting.
    ///
    /// Nothing is acknowledged before the last portion is on the disk. What a crash cuts off was
    /// not: the same request again marks the rest. The caller may be cancelled at any time: all
    /// portions are written and announced in any case.
    ///
    /// # Errors
    /// See [`InboxStore::mark_portion`].
    pub async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let users = self.clone();
        let work = tokio::spawn(async move {
            let mut marking = Marking::new(user, selection, mark, now);
            while let Some(changes) = marking.next(&*users.inboxes).await? {
                for marked in changes {
                    users.tell(user, Change::Marked(marked));
                }
            }
            Ok(marking.count())
        });
        work.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    /// Nudges the channels for new deliveries, on every node.
    pub fn nudge(&self, which: routing::Channels) {
        self.channels.nudge(which);
        self.broker.publish(BrokerMessage::ChannelsDue(which));
    }

    /// Publishes a message that no actor handles; this node has acted on it already.
    pub fn publish(&self, message: BrokerMessage<'_>) {
        self.broker.publish(message);
    }

    /// Ends the user's sessions that were opened with a login (`None`: all of them), on every node.
    pub fn end_sessions(&self, user: UserId, login: Option<LoginId>, why: Revoked) {
        self.end_own_sessions(user, login, why);
        self.broker.publish(BrokerMessage::SessionsEnded { user, login, why });
    }

    /// The same on this node alone, for a change that each node reads or receives by itself.
    pub fn end_own_sessions(&self, user: UserId, login: Option<LoginId>, why: Revoked) {
        if let Some(actor) = self.directory.live.get(&user) {
            actor.cast(UserMessage::End { login, why: why.into() });
        }
    }

    /// The account has these rights now: ends its sessions on this node that were opened with
    /// others. They may come back.
    pub fn end_other_rights(&self, account: &Arc<User>) {
        if let Some(actor) = self.directory.live.get(&account.id) {
            actor.cast(UserMessage::Rights(Arc::clone(account)));
        }
    }

    /// Whether the user may have sessions on this node.
    #[must_use]
    pub fn are_here(&self, user: UserId) -> bool {
        self.directory.live.get(&user).is_some()
    }

    /// How many sessions this node has.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.get()
    }
}

/// The message is announced to the users of this node now, from the current trace.
fn note_announced(content: &MessageContent) {
    content.trace.announce(Instant::now());
    content.trace.keep(Trace::current().context());
}
