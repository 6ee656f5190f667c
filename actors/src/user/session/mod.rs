//! One session in its user's actor: first catching up, then live.
//!
//! While it catches up, live changes wait behind its backlog. A backlog is sent in portions, each
//! when the connection has accepted the previous one, so a slow line is not mistaken for a slow
//! reader. The texts of a long backlog are read portion by portion too. Positions only increase.

mod arrival;
mod events;
mod requests;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use self::arrival::Unconfirmed;
use super::asking::Asking;
use super::backlog::{Loaded, Texts};
use super::early::Early;
use super::queue::{Next, PORTION, PORTION_BYTES, Portion, Queue};
use super::stretch::{Item, Line, Shape, Shows, Stretch, Text};
use super::subscription::Subscription;
use crate::directory::{Counted, SessionCount};
use bellpull_domain::ids::{LoginId, Seq};
use bellpull_domain::inbox::{Change, Reached, Row};
use bellpull_port::agent::Agent;
use bellpull_port::budget::Budget;
use bellpull_port::outlet::{Broken, Ending, Outgoing, Outlet};

/// Where a session is in the inbox.
#[derive(Debug)]
enum Phase {
    /// It is shown nothing of it.
    Apart,
    /// The store is being read; live changes wait.
    Loading(Box<Queue>),
    /// The frames to be shown.
    Replaying(Box<Queue>),
    /// Everything up to `at` was shown.
    Live,
}

/// One session.
pub(super) struct SessionState {
    pub(super) id: u32,
    pub(super) outlet: Box<dyn Outlet>,
    pub(super) rest: Box<Rest>,
    /// Whether it was greeted: nothing else is sent before.
    pub(super) is_greeted: bool,
    /// Whether frames were pushed and not flushed.
    pub(super) is_dirty: bool,
    shows: Shows,
    phase: Phase,
    /// The last number that was shown, or need not be.
    at: Seq,
    /// The unread count there.
    unread_count: i64,
    /// The last number that the connection has accepted; it may still get lost.
    taken: Seq,
    /// The last number that is known to have arrived: what its client has acknowledged, or, where
    /// it cannot acknowledge, what [`arrival`] says.
    arrived: Seq,
    /// What delays `arrived`; an idle session has none.
    unconfirmed: Option<Box<Unconfirmed>>,
    asking: Option<Box<Asking>>,
    /// Whether the connection did not accept all of the last flush.
    is_blocked: bool,
}

/// Fields that no frame needs. Apart, so that less of a session has to be loaded into the
/// processor's cache for each frame; at most 104 bytes, which is what the allocator leaves over
/// beside an actor's task.
pub(super) struct Rest {
    pub(super) login: Option<LoginId>,
    pub(super) expires_at: Timestamp,
    /// The projects' streams that it watches.
    pub(super) streams: Vec<Subscription>,
    /// Its client's messages before the greeting.
    pub(super) early: Early,
    /// Pings of the present silence.
    pub(super) pings: u16,
    /// Whether a timer for its token's warning or end runs.
    pub(super) is_expiry_armed: bool,
    /// Whether nothing that was never confirmed by any socket lies before `at`.
    is_contiguous: bool,
    pub(super) warning: Warning,
    pub(super) agent: Agent,
    /// The client's address, where the connection does not show it; boxed, since few sessions
    /// have one.
    pub(super) address: Option<Box<IpAddr>>,
    _counted: Counted,
}

/// When the client is warned that its token expires soon: once for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    /// The token is new: its lifetime was not checked.
    Unplanned,
    /// So long before its end.
    Before {
        ms: u16,
    },
    Given,
}

impl std::fmt::Debug for SessionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionState").field("id", &self.id).field("at", &self.at).finish()
    }
}

impl SessionState {
    /// A session that waits for its backlog, or shows none.
    pub(super) fn new(
        id: u32,
        start: bellpull_port::session::SessionStart,
        count: &Arc<SessionCount>,
    ) -> Self {
        let shows = Shows::from(start.feed);
        let phase = match shows {
            Shows::Nothing => Phase::Apart,
            Shows::Entries | Shows::Changes => Phase::Loading(Box::default()),
        };
        Self {
            id,
            // It may bring the answer to a handshake.
            is_dirty: start.outlet.waiting_bytes() > 0,
            outlet: start.outlet,
            rest: Box::new(Rest {
                login: start.login,
                expires_at: start.expires_at,
                streams: Vec::new(),
                early: Early::default(),
                pings: 0,
                is_expiry_armed: false,
                is_contiguous: false,
                warning: Warning::Unplanned,
                agent: start.client.agent,
                address: start.client.address.map(Box::new),
                _counted: Counted::new(count),
            }),
            is_greeted: false,
            shows,
            phase,
            at: Seq::ZERO,
            unread_count: 0,
            taken: Seq::ZERO,
            arrived: Seq::ZERO,
            unconfirmed: None,
            asking: None,
            is_blocked: false,
        }
    }

    /// An estimate of its memory, without the connection's own.
    pub(super) fn memory_bytes(&self) -> usize {
        let streams = self.rest.streams.capacity() * size_of::<Subscription>();
        let backlog = match &self.phase {
            Phase::Apart | Phase::Live => 0,
            Phase::Loading(queue) | Phase::Replaying(queue) => {
                queue.items.capacity() * size_of::<Item>()
            }
        };
        size_of::<Self>() + size_of::<Rest>() + streams + backlog + self.waiting_bytes()
    }

    /// Appends a frame to the buffer.
    pub(super) fn push(&mut self, frame: Outgoing<'_>) {
        self.outlet.push(frame);
        self.is_dirty = true;
    }

    /// Which part of the inbox it is shown.
    pub(super) fn shows(&self) -> Shows {
        self.shows
    }

    /// The next change of the inbox.
    pub(super) fn change(&mut self, change: &Change) {
        match &mut self.phase {
            Phase::Live if self.is_blocked && matches!(change, Change::Marked(_)) => {
                // One mark may be a frame for each of its rows: those of a large inbox wait like a
                // backlog until the connection accepts more.
                self.phase = Phase::Replaying(Box::default());
                self.change(change);
            }
            Phase::Live => self.show_change(change),
            Phase::Loading(queue) | Phase::Replaying(queue) => {
                let bytes = match change {
                    Change::Added { entry, .. } => entry.message.bytes(),
                    Change::Marked(marked) => size_of_val(&*marked.ids),
                };
                queue.add(bytes, || Item::Live(change.clone()));
            }
            Phase::Apart => {}
        }
    }

    /// A stretch of changes, which [`Self::advance`] shows in portions like a backlog.
    pub(super) fn read(&mut self, stretch: &Arc<Stretch>) {
        match &mut self.phase {
            Phase::Live => {
                let mut queue = Queue::default();
                queue.items.push_back(Item::Read(Arc::clone(stretch)));
                self.phase = Phase::Replaying(Box::new(queue));
            }
            Phase::Loading(queue) | Phase::Replaying(queue) => {
                // A stretch may hold many rows, so only one waits.
                queue.is_overflowed |= queue.items.iter().any(|item| matches!(item, Item::Read(_)));
                queue.add(0, || Item::Read(Arc::clone(stretch)));
            }
            Phase::Apart => {}
        }
    }

    /// It is to be shown everything after a position again, as read from the store; `false` if it
    /// is in the middle of a reading.
    pub(super) fn begin_anew(&mut self, from: Seq) -> bool {
        if !matches!(self.phase, Phase::Live) {
            return false;
        }
        let from = match self.shows {
            Shows::Changes => Seq::ZERO,
            Shows::Entries | Shows::Nothing => from,
        };
        if self.shows == Shows::Changes {
            self.push(Outgoing::Reset);
        }
        self.phase = Phase::Loading(Box::default());
        self.at = self.at.min(from);
        (self.taken, self.arrived) = (self.taken.min(from), self.arrived.min(from));
        self.unconfirmed = None;
        true
    }

    /// Changes that arrived while the store was read do not continue its answer: everything after
    /// that is left to another read.
    pub(super) fn forget_told(&mut self) {
        if let Phase::Loading(queue) = &mut self.phase {
            queue.leave_to_store();
        }
    }

    /// The store's answer is here; [`Self::advance`] shows it.
    pub(super) fn loaded(&mut self, loaded: Loaded, delivered: Seq) {
        let mut queue = match std::mem::replace(&mut self.phase, Phase::Live) {
            Phase::Loading(queue) => queue,
            other @ (Phase::Apart | Phase::Replaying(_) | Phase::Live) => {
                self.phase = other;
                return;
            }
        };
        self.rest.is_contiguous |= loaded.is_contiguous || loaded.stretch.head <= delivered;
        if loaded.skipped > 0 {
            self.push(Outgoing::Truncated { skipped: loaded.skipped });
        }
        self.at = self.at.max(loaded.stretch.after);
        queue.room = loaded.room;
        queue.items.push_front(Item::Read(Arc::new(loaded.stretch)));
        self.phase = Phase::Replaying(queue);
    }

    /// Texts that the backlog lacked are here; [`Self::advance`] shows them.
    pub(super) fn texts(&mut self, texts: Texts) {
        if let Phase::Replaying(queue) = &mut self.phase {
            queue.fill(texts);
        }
    }

    /// Shows what can be shown of the backlog now. Returns what must be read for the rest.
    ///
    /// # Errors
    /// [`Broken`] as [`Outlet::flush`].
    pub(super) fn advance(&mut self, unsent: &Budget) -> Result<Next, Broken> {
        // While it is blocked: the outlet reports when the connection accepts more.
        while !self.is_blocked {
            let mut queue = match std::mem::replace(&mut self.phase, Phase::Live) {
                Phase::Replaying(queue) => queue,
                other @ (Phase::Apart | Phase::Loading(_) | Phase::Live) => {
                    self.phase = other;
                    return Ok(Next::Nothing);
                }
            };
            if queue.is_reading || self.must_wait(&queue) {
                self.phase = Phase::Replaying(queue);
                return Ok(Next::Nothing);
            }
            match self.show_portion(&mut queue) {
                Portion::Shown => self.phase = Phase::Replaying(queue),
                Portion::Unread(texts) => {
                    (queue.is_reading, queue.room) = (true, None);
                    self.phase = Phase::Replaying(queue);
                    return Ok(Next::Texts(texts));
                }
                Portion::Over if queue.is_overflowed => {
                    self.phase = Phase::Loading(Box::default());
                    return Ok(Next::Changes(self.at));
                }
                Portion::Over => return Ok(Next::Nothing),
            }
            if self.is_dirty {
                self.flush(unsent)?;
            } else {
                self.taken = self.at;
            }
        }
        Ok(Next::Nothing)
    }

    /// Whether the next part shows rows in a later state than their entries', to which a pending
    /// mark of its own client may be older: the answer to that, coming after them, would undo for
    /// the client what happened after the mark.
    fn must_wait(&self, queue: &Queue) -> bool {
        self.shows == Shows::Entries
            && matches!(queue.items.front(), Some(Item::Read(_)))
            && self.asking.as_ref().is_some_and(|asking| asking.is_marking())
    }

    /// Shows the next few: as many as the connection accepts at once.
    fn show_portion(&mut self, queue: &mut Queue) -> Portion {
        let mut shown = 0;
        while shown < PORTION
            && (shown == 0 || self.outlet.waiting_bytes() < PORTION_BYTES)
            && !self.must_wait(queue)
            && let Some(item) = queue.items.pop_front()
        {
            match item {
                Item::Row { line: Line { text: Text::Unread(_), .. }, .. } => {
                    queue.items.push_front(item);
                    if shown == 0 {
                        return Portion::Unread(queue.unread());
                    }
                    break;
                }
                Item::Read(stretch) => {
                    if self.shows == Shows::Entries {
                        self.answer(stretch.head);
                    }
                    let items = stretch.items(self.shows, self.at);
                    for item in items.into_iter().rev() {
                        self.note_displaced(&item);
                        queue.items.push_front(item);
                    }
                }
                Item::Live(change) => self.show_change(&change),
                Item::Row { line, shape, unread_count } => {
                    if let Text::Read(content) = &line.text {
                        self.show_line(line.row(content), shape, unread_count);
                    }
                }
                Item::Reached { seq, unread_count } => {
                    self.approach(seq);
                    self.reach(seq, unread_count);
                }
            }
            shown += 1;
        }
        if shown > 0 { Portion::Shown } else { Portion::Over }
    }

    /// Writes the buffer; what the connection does not accept counts in the budget of all sessions.
    ///
    /// # Errors
    /// [`Broken`] as [`Outlet::flush`] and [`Outlet::count`].
    pub(super) fn flush(&mut self, unsent: &Budget) -> Result<(), Broken> {
        self.write()?;
        if self.is_blocked { self.outlet.count(unsent) } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Broken> {
        let was_blocked = self.is_blocked;
        loop {
            self.is_dirty = false;
            self.outlet.flush()?;
            self.is_blocked = self.outlet.waiting_bytes() > 0;
            if self.is_blocked {
                return Ok(());
            }
            self.taken = self.at;
            // Only while it is blocked, events wait; the next few follow.
            if !was_blocked || !self.show_waiting() {
                return Ok(());
            }
        }
    }

    /// Whether the connection did not accept all of the last flush.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// The last number that was shown, or need not be.
    pub(super) fn at(&self) -> Seq {
        self.at
    }

    /// `apart`, `loading`, `replaying`, `live`: for operators.
    pub(super) fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Apart => "apart",
            Phase::Loading(_) => "loading",
            Phase::Replaying(_) => "replaying",
            Phase::Live => "live",
        }
    }

    /// Writes the buffer, and ends the session. Returns how far everything has arrived.
    pub(super) fn close(mut self, why: Ending) -> Reached {
        self.confirm_end(why);
        // A client that has closed reads nothing more, though its connection still accepts bytes:
        // what was pushed since is for its next session. It ends here in any case.
        if self.is_dirty && !matches!(why, Ending::Closed { .. }) && self.write().is_ok() {
            self.confirm_end(why);
        }
        let reached = self.reached();
        self.outlet.close(why);
        reached
    }

    fn show_change(&mut self, change: &Change) {
        if change.last() <= self.at {
            return;
        }
        self.approach(change.last());
        match change {
            Change::Added { entry, unread_count } => {
                let unread_count = *unread_count;
                self.push(Outgoing::Notification { entry, unread_count });
                self.reach(entry.seq, unread_count);
            }
            Change::Marked(marked) => {
                if !self.has_made(marked.last) {
                    self.push(Outgoing::Marked(marked));
                }
                self.reach(marked.last, marked.unread_count);
            }
        }
    }

    fn show_line(&mut self, row: Row, shape: Shape, unread_count: i64) {
        match shape {
            Shape::Added => self.show_change(&Change::Added { entry: row.entry, unread_count }),
            Shape::Row { is_news, is_resumable } => {
                self.show_row(&row, (is_news, is_resumable), unread_count);
            }
        }
    }

    fn show_row(&mut self, row: &Row, (is_news, is_resumable): (bool, bool), unread_count: i64) {
        if row.changed_seq <= self.at {
            return;
        }
        self.approach(row.changed_seq);
        // Including its own requests' changes: the answer comes with the last of those changes, and
        // the connection may end before, with the client's position past some of them.
        self.push(Outgoing::Row { row, is_news, is_resumable, unread_count });
        self.reach(row.changed_seq, unread_count);
    }

    /// A frame of that position is about to be shown: an answer that is due earlier is sent first.
    fn approach(&mut self, seq: Seq) {
        if self.asking.is_some() {
            self.answer(Seq(seq.0 - 1));
        }
    }

    /// Everything up to a position was shown.
    fn reach(&mut self, seq: Seq, unread_count: i64) {
        self.at = seq;
        self.unread_count = unread_count;
        if self.asking.is_some() {
            self.answer(seq);
        }
    }

    fn has_made(&self, seq: Seq) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.made(seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_is_small() {
        let sizes = (size_of::<SessionState>(), size_of::<Rest>());
        println!("a session's state takes {sizes:?} bytes");
        assert!(sizes.0 <= 96 && sizes.1 <= 104, "{sizes:?}");
    }
}
