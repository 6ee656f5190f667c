//! One session as its user's actor keeps it: catching up first, then live.
//!
//! While it catches up, live changes wait behind its backlog; a backlog goes out in portions, each
//! when the connection has taken the one before, so that a slow line is not taken for a slow
//! reader. Whatever the order, what a session is shown only ever goes up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jiff::Timestamp;

use crate::domain::ids::{LoginId, Seq};
use crate::domain::inbox::{Birth, Change};
use crate::port::outlet::{Broken, Ending, Outgoing, Outlet};
use crate::session::Begin;

/// How many frames of a backlog are written before the connection must have taken them: a fourth
/// of what may wait for a slow reader.
const PORTION: usize = 64;

/// How many live changes wait behind a backlog; when there are more, the store is read again.
const BEHIND_MAX: usize = 2_048;

/// Where a session is in the inbox.
#[derive(Debug)]
enum Phase {
    /// The store is being read; what comes live meanwhile.
    Loading { behind: VecDeque<Change> },
    /// What is still to be shown, in order, and the position that is reached after it.
    Replaying { rest: VecDeque<Change>, head: Seq },
    /// Everything up to `at` was shown.
    Live,
}

/// One session.
pub(super) struct SessionState {
    pub(super) id: u32,
    pub(super) outlet: Box<dyn Outlet>,
    pub(super) begin: Begin,
    pub(super) login: Option<LoginId>,
    pub(super) expires_at: Timestamp,
    /// Whether a timer for its token's end runs.
    pub(super) is_expiry_armed: bool,
    /// Whether frames were pushed and not flushed.
    pub(super) is_dirty: bool,
    /// Pings of the present silence.
    pub(super) pings: u32,
    phase: Phase,
    /// The last number that was shown, or need not be.
    at: Seq,
    /// Whether nothing that was never sent to any socket lies before `at`.
    is_contiguous: bool,
    /// Whether changes were left to the store because too many waited.
    is_overflowed: bool,
    _counted: Counted,
}

/// Counts a session for as long as it is kept, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        metrics::gauge!("bellpull_sessions").increment(1.0);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
        metrics::gauge!("bellpull_sessions").decrement(1.0);
    }
}

/// What the store said of a session's backlog.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The inbox' position when it was read.
    pub(super) head: Seq,
    /// What was known to be delivered by then.
    pub(super) delivered: Seq,
    /// How many of the oldest were left out.
    pub(super) skipped: i64,
    /// The others.
    pub(super) births: Vec<Birth>,
}

impl std::fmt::Debug for SessionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionState").field("id", &self.id).field("at", &self.at).finish()
    }
}

impl SessionState {
    /// A session that waits for its backlog.
    pub(super) fn new(
        id: u32,
        start: crate::session::SessionStart,
        count: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            id,
            outlet: start.outlet,
            begin: start.begin,
            login: start.login,
            expires_at: start.expires_at,
            is_expiry_armed: false,
            is_dirty: false,
            pings: 0,
            phase: Phase::Loading { behind: VecDeque::new() },
            at: Seq::ZERO,
            is_contiguous: false,
            is_overflowed: false,
            _counted: Counted::new(count),
        }
    }

    /// Puts a frame behind those that wait.
    pub(super) fn push(&mut self, frame: Outgoing<'_>) {
        self.outlet.push(frame);
        self.is_dirty = true;
    }

    /// The next change of the inbox.
    pub(super) fn change(&mut self, change: &Change) {
        match &mut self.phase {
            Phase::Live => self.show(change),
            Phase::Loading { behind: waiting } | Phase::Replaying { rest: waiting, .. } => {
                if waiting.len() < BEHIND_MAX && !self.is_overflowed {
                    waiting.push_back(change.clone());
                } else {
                    self.is_overflowed = true;
                }
            }
        }
    }

    /// The store's answer is here; [`Self::advance`] shows it.
    pub(super) fn loaded(&mut self, loaded: Loaded, delivered: Seq) {
        let Phase::Loading { behind } = &mut self.phase else { return };
        let behind = std::mem::take(behind);
        self.is_contiguous |= match self.begin {
            Begin::Undelivered | Begin::Since(_) => true,
            Begin::Live => loaded.head <= delivered,
        };
        if loaded.skipped > 0 {
            self.push(Outgoing::Truncated { skipped: loaded.skipped });
        }
        let births = loaded.births.into_iter();
        let mut rest: VecDeque<Change> =
            births.map(|birth| Change::Born { birth, unread_count: 0 }).collect();
        rest.extend(behind.into_iter().filter(|change| change.last() > loaded.head));
        self.phase = Phase::Replaying { rest, head: loaded.head };
    }

    /// Shows what can be shown of the backlog now. Returns the position from which the store must
    /// be read again, where too much came meanwhile.
    ///
    /// # Errors
    /// [`Broken`] as [`Outlet::flush`].
    pub(super) fn advance(&mut self) -> Result<Option<Seq>, Broken> {
        loop {
            let Phase::Replaying { rest, head } = &mut self.phase else { return Ok(None) };
            let head = *head;
            let portion: Vec<Change> = rest.drain(..rest.len().min(PORTION)).collect();
            if portion.is_empty() {
                self.at = self.at.max(head);
                if self.is_overflowed {
                    self.is_overflowed = false;
                    self.phase = Phase::Loading { behind: VecDeque::new() };
                    return Ok(Some(self.at));
                }
                self.phase = Phase::Live;
                return Ok(None);
            }
            for change in &portion {
                self.show(change);
            }
            self.flush()?;
            if self.outlet.waiting_bytes() > 0 {
                return Ok(None); // the outlet says when the connection takes more
            }
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// [`Broken`] as [`Outlet::flush`].
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        self.is_dirty = false;
        self.outlet.flush()
    }

    /// Up to where everything was sent to this session, if nothing before it was left out.
    pub(super) fn delivered(&self) -> Option<Seq> {
        self.is_contiguous.then_some(self.at)
    }

    /// `loading`, `replaying`, `live`: for operators.
    pub(super) fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Loading { .. } => "loading",
            Phase::Replaying { .. } => "replaying",
            Phase::Live => "live",
        }
    }

    /// Ends it.
    pub(super) fn close(self, why: Ending) {
        self.outlet.close(why);
    }

    fn show(&mut self, change: &Change) {
        if change.last() <= self.at {
            return;
        }
        self.at = change.last();
        match change {
            Change::Born { birth, .. } => self.push(Outgoing::Notification(birth)),
            Change::Marked(marked) => self.push(Outgoing::Marked(marked)),
        }
    }
}
