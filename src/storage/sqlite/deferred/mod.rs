//! Entries whose inbox rows are written later.
//!
//! An announcement to many recipients is first written as one row, the list of its entries; its
//! acknowledgement waits for that row only. The inbox rows follow when an inbox is changed or
//! listed, or while the writer is idle ([`flusher`]). The missing rows of an inbox are always
//! written together with its head, in one transaction.
//!
//! The tables contain everything: an entry is deferred if its number is above its inbox'
//! `last_seq`. This module caches that, so that no read has to look for it. The cache changes when
//! a transaction has been committed and before anyone is told of it. A reader of an inbox asks the
//! cache first; then it either adds the [`tail`] to what the tables have or has the inbox written
//! ([`barrier`]). So it misses nothing that was acknowledged before.
//!
//! In reading order: this file (the cache, as readers and the writer query it), [`entries`] (the
//! stored form of a list), [`lists`] (the lists that still have deferred entries), [`load`] (from
//! the tables), [`staged`] (what a group changes), [`flusher`], [`tail`] and [`barrier`] (for
//! readers).

mod barrier;
mod entries;
mod flusher;
mod lists;
mod load;
mod staged;
mod tail;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_domain::routing::Channels;
use smallvec::SmallVec;
use tokio::sync::Notify;

pub(super) use barrier::Barrier;
pub(super) use entries::DeferredEntry;
pub(super) use flusher::Flusher;
use lists::{Lists, Waiting};
pub(super) use load::count_deferred;
pub(super) use staged::{NOTIFICATIONS, Staged, StagedEntry};

/// One inbox may be cached for this many deferred entries: it takes as much memory as they do.
const BIRTHS_PER_INBOX: usize = 8;
/// Inboxes that stay cached without deferred entries: some 6 MiB.
const KNOWN_MAX: usize = 1 << 16;
/// Entries written in one transaction: some 3 ms.
pub(super) const PORTION: usize = 512;

/// The cache of deferred entries.
#[derive(Debug)]
pub(super) struct Deferred {
    /// The fewest recipients of an announcement whose rows may be deferred; `None`: nothing is
    /// deferred.
    from: Option<usize>,
    /// How many entries may be deferred. A write beyond it writes as many rows as it adds.
    entries_max: usize,
    state: Mutex<State>,
    /// Notified when there is something to write.
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Inboxes with deferred entries, and others that need no external delivery. Ordered by user
    /// id, as lists of recipients are: the next one is near.
    inboxes: BTreeMap<UserId, Inbox>,
    /// How many of them have deferred entries, and how many entries those are.
    held: usize,
    entries: usize,
    lists: Lists,
    /// The inbox that was written last while the writer was idle.
    cursor: Option<UserId>,
    /// When the oldest of these entries was added, and the newest.
    times: Option<(Instant, Instant)>,
}

/// One user's inbox.
#[derive(Debug)]
struct Inbox {
    /// With all its deferred entries.
    position: Position,
    /// Which addresses the account has, if it has no rules, browsers or webhooks of its own.
    reach: Option<Channels>,
    /// The highest number that was delivered while entries were deferred.
    delivered: Seq,
    /// Ordered by number; the last one is the head's.
    entries: SmallVec<[Waiting; 1]>,
}

/// The head of an inbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) last_seq: Seq,
    pub(super) unread_count: i64,
}

impl Inbox {
    /// An inbox with this head and no deferred entries.
    fn at(position: Position) -> Self {
        Self { position, reach: None, delivered: Seq::ZERO, entries: SmallVec::new() }
    }

    fn is_held(&self) -> bool {
        !self.entries.is_empty()
    }
}

impl Position {
    /// What the next entry needs to know of the head.
    pub(super) fn head(self) -> Head {
        let Self { last_seq, unread_count } = self;
        Head { last_seq, unread_count, ..Head::default() }
    }
}

/// What the cache knows of a user.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// The head of the inbox.
    pub(super) position: Option<Position>,
    /// Whether it has deferred entries.
    pub(super) is_held: bool,
    /// See [`Inbox::reach`].
    pub(super) reach: Option<Channels>,
}

impl State {
    /// An inbox with deferred entries.
    fn held(&self, user: UserId) -> Option<&Inbox> {
        self.inboxes.get(&user).filter(|inbox| inbox.is_held())
    }

    /// Updates the metrics.
    fn report(&self) {
        let entries = u32::try_from(self.entries).unwrap_or(u32::MAX);
        metrics::gauge!("bellpull_deferred_entries").set(entries);
    }
}

impl Deferred {
    /// An empty cache. Announcements to `from` recipients and more may be deferred, `entries_max`
    /// entries in all. `None`: nothing may, as when another process is the hub.
    pub(super) fn new(from: Option<usize>, entries_max: usize) -> Self {
        Self { from, entries_max, state: Mutex::default(), added: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before the next step that could fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of recipients from which on an announcement may be deferred; `None`: never.
    pub(super) fn waits_from(&self) -> Option<usize> {
        self.from
    }

    /// How many entries are deferred.
    pub(super) fn count(&self) -> usize {
        self.state().entries
    }

    /// Whether there is no room for this many more.
    fn is_full(&self, entries: usize) -> bool {
        let state = self.state();
        let held_max = self.entries_max / BIRTHS_PER_INBOX;
        state.entries + entries > self.entries_max || state.held + entries > held_max
    }

    /// Whether this inbox has deferred entries.
    pub(super) fn holds(&self, user: UserId) -> bool {
        self.last_seq(user).is_some()
    }

    /// The last number of this inbox, if it has deferred entries.
    pub(super) fn last_seq(&self, user: UserId) -> Option<Seq> {
        self.state().held(user).map(|inbox| inbox.position.last_seq)
    }

    /// All users with deferred entries, in portions for one transaction each.
    pub(super) fn all_users(&self) -> Vec<Vec<UserId>> {
        let state = self.state();
        let held = state.inboxes.iter().filter(|(_, inbox)| inbox.is_held());
        portions(held.map(|(user, inbox)| (*user, inbox.entries.len())))
    }

    /// The recipient of a notification, if it is deferred.
    pub(super) fn owner(&self, id: NotificationId) -> Option<UserId> {
        let state = self.state();
        let user = state.lists.owner(id.0)?;
        state.held(user)?.entries.iter().any(|entry| entry.id == id.0).then_some(user)
    }

    /// What is known of these users, as the group has left it.
    pub(super) fn looks(&self, users: &[UserId], staged: &Staged) -> Vec<Look> {
        let state = self.state();
        let look = |user: &UserId| {
            let inbox = state.inboxes.get(user).filter(|_| !staged.has_changed(*user));
            inbox.map_or_else(Look::default, |inbox| Look {
                position: Some(inbox.position),
                is_held: inbox.is_held(),
                reach: inbox.reach.filter(|_| !staged.forgets_known()),
            })
        };
        users.iter().map(look).collect()
    }

    /// The inboxes with deferred entries.
    pub(super) fn inboxes(&self) -> Vec<UserId> {
        let state = self.state();
        state.inboxes.iter().filter(|(_, inbox)| inbox.is_held()).map(|(user, _)| *user).collect()
    }

    /// The next users to be written, with about this many entries, round robin.
    fn next(&self, entries: usize) -> Vec<UserId> {
        let mut state = self.state();
        let first = state.cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let after = (first, Bound::Unbounded);
        let (mut some, mut count) = (Vec::new(), 0);
        for (user, inbox) in state.inboxes.range(after).filter(|(_, inbox)| inbox.is_held()) {
            if count >= entries {
                break;
            }
            count += inbox.entries.len();
            some.push(*user);
        }
        // After the last one it starts over.
        state.cursor = some.last().copied().filter(|_| count >= entries);
        some
    }
}

/// In portions of about [`PORTION`] entries.
fn portions(inboxes: impl Iterator<Item = (UserId, usize)>) -> Vec<Vec<UserId>> {
    let (mut portions, mut entries) = (Vec::new(), PORTION);
    for (user, count) in inboxes {
        if entries >= PORTION {
            portions.push(Vec::new());
            entries = 0;
        }
        if let Some(portion) = portions.last_mut() {
            portion.push(user);
        }
        entries += count;
    }
    portions
}
