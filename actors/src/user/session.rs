//! One session as its user's actor keeps it: catching up first, then live.
//!
//! While it catches up, live changes wait behind its backlog; a backlog goes out in portions, each
//! when the connection has taken the one before, so that a slow line is not taken for a slow
//! reader. Whatever the order, what a session is shown only ever goes up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jiff::Timestamp;

use super::streams::Subscription;
use crate::domain::ids::{LoginId, Seq};
use crate::domain::inbox::{Birth, Change};
use crate::port::outlet::{Broken, Ending, Outgoing, Outlet};
use crate::session::{Begin, Feed};

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
    /// The projects' streams that it watches.
    pub(super) streams: Vec<Subscription>,
    /// Whether a timer for its token's end runs.
    pub(super) is_expiry_armed: bool,
    /// Whether frames were pushed and not flushed.
    pub(super) is_dirty: bool,
    /// Pings of the present silence.
    pub(super) pings: u32,
    phase: Phase,
    /// The last number that was shown, or need not be.
    at: Seq,
    /// The last number that the connection has taken. What still waits for it may never arrive,
    /// and counts as delivered only for the connection that breaks.
    taken: Seq,
    /// Whether the connection did not take all that was flushed last.
    is_blocked: bool,
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

/// Where births begin.
pub(super) fn begin_of(feed: Feed) -> Begin {
    match feed {
        Feed::Births(begin) => begin,
        Feed::Nothing | Feed::Changes(_) => Begin::Live,
    }
}

/// What the store said of a session's backlog.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Up to where the births are complete.
    pub(super) head: Seq,
    /// What the store had noted as delivered by then.
    pub(super) delivered: Seq,
    /// How many of the oldest were left out.
    pub(super) skipped: i64,
    /// The others.
    pub(super) births: Vec<Birth>,
    /// Whether that is all there is up to `head`'s successors: `false` for a full page.
    pub(super) is_whole: bool,
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
            begin: begin_of(start.feed),
            login: start.login,
            expires_at: start.expires_at,
            streams: Vec::new(),
            is_expiry_armed: false,
            is_dirty: false,
            pings: 0,
            phase: Phase::Loading { behind: VecDeque::new() },
            at: Seq::ZERO,
            taken: Seq::ZERO,
            is_blocked: false,
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
        let mut behind = std::mem::take(behind);
        if !loaded.is_whole {
            // What came live does not follow this page: it is read with the pages to come.
            behind.clear();
            self.is_overflowed = true;
        }
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
            if self.is_blocked {
                return Ok(None); // the outlet says when the connection takes more
            }
            let Phase::Replaying { rest, head } = &mut self.phase else { return Ok(None) };
            let head = *head;
            let portion: Vec<Change> = rest.drain(..rest.len().min(PORTION)).collect();
            if portion.is_empty() {
                self.at = self.at.max(head);
                self.taken = if self.is_dirty { self.taken } else { self.at };
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
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// [`Broken`] as [`Outlet::flush`].
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        self.is_dirty = false;
        self.outlet.flush()?;
        self.is_blocked = self.outlet.waiting_bytes() > 0;
        if !self.is_blocked {
            self.taken = self.at;
        }
        Ok(())
    }

    /// Up to where everything was sent to this session, if nothing before it was left out.
    pub(super) fn delivered(&self) -> Option<Seq> {
        self.is_contiguous.then_some(self.taken)
    }

    /// `loading`, `replaying`, `live`: for operators.
    pub(super) fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Loading { .. } => "loading",
            Phase::Replaying { .. } => "replaying",
            Phase::Live => "live",
        }
    }

    /// Writes what waits, and ends it. Up to where everything was sent, as [`Self::delivered`].
    pub(super) fn close(mut self, why: Ending) -> Option<Seq> {
        // A client that has closed reads nothing more, though its connection still takes it: what
        // was pushed since is for its next session. Broken or not, it ends here.
        if self.is_dirty && !matches!(why, Ending::Closed { .. }) {
            let _ = self.flush();
        }
        let delivered = self.delivered();
        self.outlet.close(why);
        delivered
    }

    fn show(&mut self, change: &Change) {
        if change.last() <= self.at {
            return;
        }
        self.at = change.last();
        match change {
            Change::Born { birth, unread_count } => {
                self.push(Outgoing::Notification { birth, unread_count: *unread_count })
            }
            Change::Marked(marked) => self.push(Outgoing::Marked(marked)),
        }
    }
}
