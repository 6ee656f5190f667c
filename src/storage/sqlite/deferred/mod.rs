//! Births whose rows are still to be written.
//!
//! What is said to many at once is written as one row first, the list of its births; that is what
//! its acknowledgement waits for. The rows of the inboxes come when one of them is changed or
//! listed, or while nobody has anything else to write ([`settler`]): what an inbox lacks is always
//! written whole, in one transaction, with its head.
//!
//! The tables say all of it: a birth is still to be written if its number is above its inbox'
//! `last_seq`. What is here is their copy, so that nobody has to look there; it changes when a
//! transaction has been committed, before anybody is told of it. So whoever reads an inbox asks
//! here first, adds the [`tail`] to what the tables have or has the inbox settled ([`barrier`]),
//! and misses nothing that was acknowledged before.
//!
//! In reading order: this file (what is known, as readers and the writer ask for it), [`entries`]
//! (how a list is stored), [`waves`] (the lists of which something is left), [`load`] (from the
//! tables), [`staged`] (what a group does to it), [`settler`], [`tail`] and [`barrier`] (for
//! readers).

mod barrier;
mod entries;
mod load;
mod settler;
mod staged;
mod tail;
mod waves;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bellpull_actors::domain::ids::{NotificationId, Seq, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::domain::routing::Channels;
use smallvec::SmallVec;
use tokio::sync::Notify;

pub(super) use barrier::Barrier;
pub(super) use entries::DeferredEntry;
pub(super) use settler::Settler;
pub(super) use staged::{Staged, StagedEntry};
use waves::{Waiting, Waves};

/// Of so many births that may wait one inbox may: it takes as much memory as they do.
const BIRTHS_PER_INBOX: usize = 8;
/// People who are remembered though nothing of theirs waits: some 6 MiB.
const KNOWN_MAX: usize = 1 << 16;
/// Births that are settled in one transaction: some 3 ms.
pub(super) const PORTION: usize = 512;

/// What is still to be written.
#[derive(Debug)]
pub(super) struct Deferred {
    /// The fewest recipients of something whose births may wait; none may, where there is no such
    /// number.
    from: Option<usize>,
    /// So many may wait. Who adds to more than these writes as many rows as it adds.
    entries_max: usize,
    state: Mutex<State>,
    /// Told when there is something to settle.
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Those with births that wait, and others to whom nothing goes out of the house. In order, as
    /// lists are: who comes next is near.
    people: BTreeMap<UserId, Person>,
    /// How many of them have births that wait, and how many births those are.
    held: usize,
    entries: usize,
    waves: Waves,
    /// Who was settled last while nobody waited.
    cursor: Option<UserId>,
    /// When the first of these births came, and the last.
    times: Option<(Instant, Instant)>,
}

/// Somebody's inbox.
#[derive(Debug)]
struct Person {
    /// With all births that wait.
    position: Position,
    /// Where the account has an address, if it has no rules, browsers or webhooks of its own.
    reach: Option<Channels>,
    /// The highest number that was delivered while births waited.
    delivered: Seq,
    /// In the order of their numbers, which end with the position's.
    entries: SmallVec<[Waiting; 1]>,
}

/// Where an inbox stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) last_seq: Seq,
    pub(super) unread_count: i64,
}

impl Person {
    /// Somebody whose inbox stands there, without births that wait.
    fn at(position: Position) -> Self {
        Self { position, reach: None, delivered: Seq::ZERO, entries: SmallVec::new() }
    }

    fn is_held(&self) -> bool {
        !self.entries.is_empty()
    }
}

impl Position {
    /// As far as the next birth is concerned.
    pub(super) fn head(self) -> Head {
        let Self { last_seq, unread_count } = self;
        Head { last_seq, unread_count, ..Head::default() }
    }
}

/// What is known of somebody without a look at the tables.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Where the inbox stands.
    pub(super) position: Option<Position>,
    /// Whether births are still to be written there.
    pub(super) is_held: bool,
    /// See [`Person::reach`].
    pub(super) reach: Option<Channels>,
}

impl State {
    /// Somebody with births that wait.
    fn held(&self, user: UserId) -> Option<&Person> {
        self.people.get(&user).filter(|person| person.is_held())
    }

    /// Tells the operators.
    fn report(&self) {
        let entries = u32::try_from(self.entries).unwrap_or(u32::MAX);
        metrics::gauge!("bellpull_births_deferred").set(entries);
    }
}

impl Deferred {
    /// Nothing yet. Of what goes to `from` people and more some `births_max` births may wait.
    /// `None`: nothing may, as where another process is the hub.
    pub(super) fn new(from: Option<usize>, entries_max: usize) -> Self {
        Self { from, entries_max, state: Mutex::default(), added: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the next thing that could fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes to so many recipients, or more, may wait; `None` where nothing may.
    pub(super) fn waits_from(&self) -> Option<usize> {
        self.from
    }

    /// How many births are still to be written.
    pub(super) fn count(&self) -> usize {
        self.state().entries
    }

    /// Whether there is no room for so many more.
    fn is_full(&self, entries: usize) -> bool {
        let state = self.state();
        let held_max = self.entries_max / BIRTHS_PER_INBOX;
        state.entries + entries > self.entries_max || state.held + entries > held_max
    }

    /// Whether births of this inbox are still to be written.
    pub(super) fn holds(&self, user: UserId) -> bool {
        self.state().held(user).is_some()
    }

    /// All whose births are still to be written, in portions for one transaction each.
    pub(super) fn everybody(&self) -> Vec<Vec<UserId>> {
        let state = self.state();
        let held = state.people.iter().filter(|(_, person)| person.is_held());
        portions(held.map(|(user, person)| (*user, person.entries.len())))
    }

    /// Whose notification it is, if it is still to be written.
    pub(super) fn owner(&self, id: NotificationId) -> Option<UserId> {
        let state = self.state();
        let user = state.waves.owner(id.0)?;
        state.held(user)?.entries.iter().any(|entry| entry.id == id.0).then_some(user)
    }

    /// What is known of these people, as the group stands.
    pub(super) fn looks(&self, users: &[UserId], staged: &Staged) -> Vec<Look> {
        let state = self.state();
        let look = |user: &UserId| {
            let person = state.people.get(user).filter(|_| !staged.has_changed(*user));
            person.map_or_else(Look::default, |person| Look {
                position: Some(person.position),
                is_held: person.is_held(),
                reach: person.reach.filter(|_| !staged.forgets_known()),
            })
        };
        users.iter().map(look).collect()
    }

    /// Some who are still to be settled, with about so many births, going round.
    fn next(&self, entries: usize) -> Vec<UserId> {
        let mut state = self.state();
        let first = state.cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let after = (first, Bound::Unbounded);
        let (mut some, mut count) = (Vec::new(), 0);
        for (user, person) in state.people.range(after).filter(|(_, person)| person.is_held()) {
            if count >= entries {
                break;
            }
            count += person.entries.len();
            some.push(*user);
        }
        // Behind the last the next ones begin anew.
        state.cursor = some.last().copied().filter(|_| count >= entries);
        some
    }
}

/// In portions of about [`PORTION`] births.
fn portions(people: impl Iterator<Item = (UserId, usize)>) -> Vec<Vec<UserId>> {
    let (mut portions, mut entries) = (Vec::new(), PORTION);
    for (user, count) in people {
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
