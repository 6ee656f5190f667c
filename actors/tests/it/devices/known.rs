//! What a client knows from its frames: it finds a gap, a double or a step back by itself.

use std::collections::{BTreeMap, BTreeSet};

use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::Mark;
use bellpull_port::inbox::Selection;
use bellpull_port::session::{Answer, Ask, Asked, Heard};
use bellpull_port::testing::Frame;
use proptest::prelude::*;

use crate::TestClient;

/// What a client knows from its frames.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Each row that it has: whether it was read, and the position at which it learned that.
    pub(super) rows: BTreeMap<NotificationId, (bool, Seq)>,
    /// Entries that it was shown as new: none is shown twice.
    pub(super) entries: BTreeSet<NotificationId>,
    pub(super) deleted: BTreeSet<NotificationId>,
    pub(super) unread_count: Option<i64>,
    pub(super) at: Seq,
    /// What it asked for and was not answered yet.
    pub(super) asked: BTreeMap<String, (Selection, Mark)>,
}

impl Known {
    pub(super) fn frame(&mut self, frame: &Frame) -> Result<(), TestCaseError> {
        if let Frame::Welcome { unread_count, .. } = frame {
            self.unread_count = Some(*unread_count);
        }
        if let Frame::Notification { seq, id, is_read, unread_count, .. } = frame {
            self.up(*seq)?;
            self.news(*id, *is_read)?;
            self.unread_count = Some(*unread_count);
        }
        if let Frame::Row { changed_seq, id, is_read, is_deleted, is_news, unread_count } = frame {
            self.up(*changed_seq)?;
            if *is_news {
                self.news(*id, *is_read)?;
            } else {
                // Of a row that it does not know (its line broke over a backlog) it learns here.
                self.rows.insert(*id, (*is_read, *changed_seq));
                self.entries.insert(*id);
            }
            if *is_deleted {
                self.rows.remove(id);
                self.deleted.insert(*id);
            }
            self.unread_count = Some(*unread_count);
        }
        if let Frame::Marked(marked) = frame {
            self.up(marked.last)?;
            for id in &*marked.ids {
                self.mark(*id, marked.mark, marked.last);
            }
            self.unread_count = Some(marked.unread_count);
        }
        if let Frame::Answer(tag, answer) = frame {
            let asked = self.asked.remove(tag.as_deref().unwrap_or_default());
            prop_assert!(asked.is_some(), "answered twice: {:?}", tag);
            if let (Some((selection, mark)), Answer::Marked { seq, unread_count, .. }) =
                (asked, answer)
            {
                self.own(&selection, mark, *seq);
                self.unread_count = Some(*unread_count);
            }
        }
        Ok(())
    }

    pub(super) fn up(&mut self, seq: Seq) -> Result<(), TestCaseError> {
        prop_assert!(seq > self.at, "a step back from {} to {}", self.at, seq);
        self.at = seq;
        Ok(())
    }

    pub(super) fn news(&mut self, id: NotificationId, is_read: bool) -> Result<(), TestCaseError> {
        prop_assert!(self.entries.insert(id), "a double of {}", id);
        self.rows.insert(id, (is_read, self.at));
        Ok(())
    }

    pub(super) fn mark(&mut self, id: NotificationId, mark: Mark, seq: Seq) {
        if mark == Mark::Delete {
            self.rows.remove(&id);
            self.deleted.insert(id);
        } else if let Some(row) = self.rows.get_mut(&id) {
            *row = (mark == Mark::Read, seq);
        }
    }

    /// What it asked for is done: so are the rows that it knows nothing later of.
    pub(super) fn own(&mut self, selection: &Selection, mark: Mark, seq: Seq) {
        let is_meant = |id| selection.ids.as_ref().is_none_or(|ids| ids.contains(&id));
        let known = self.rows.iter().filter(|(id, row)| is_meant(**id) && row.1 < seq);
        let ids: Vec<NotificationId> = known.map(|(id, _)| *id).collect();
        for id in ids {
            self.mark(id, mark, seq);
        }
    }
}

/// A client that comes back when its session has ended.
pub(super) struct Client {
    /// Where it began: with everything after 0, or with what was not acknowledged or sent.
    pub(super) is_whole: bool,
    pub(super) is_entries: bool,
    pub(super) conn: TestClient,
    /// How many frames of the present session it has looked at.
    pub(super) read: usize,
    pub(super) known: Known,
}

impl Client {
    /// Takes in what its connection has taken.
    pub(super) fn look(&mut self) -> Result<(), TestCaseError> {
        let seen = self.conn.probe.seen();
        for frame in &seen.frames[self.read..] {
            self.known.frame(frame)?;
        }
        self.read = seen.frames.len();
        Ok(())
    }

    pub(super) fn ask(&mut self, selection: Selection, mark: Mark, number: usize) {
        let tag = number.to_string();
        self.known.asked.insert(tag.clone(), (selection.clone(), mark));
        let ask = Ask::Mark { selection, mark };
        let asked = Asked { tag: Some(tag.into()), ask };
        self.conn.session.heard(Heard::Asked(Box::new(asked)));
    }

    pub(super) fn is_open(&self) -> bool {
        self.conn.probe.seen().closed.is_none()
    }
}
