//! A session's requests: one is carried out at a time, and answered once its client was shown what
//! it changed.

use super::super::asking::Outcome;
use super::{SessionState, Shows};
use bellpull_domain::ids::Seq;
use bellpull_port::outlet::Outgoing;
use bellpull_port::session::{Answer, Asked};

impl SessionState {
    /// Queues a request; returns it if too many wait.
    pub(in crate::user) fn ask(&mut self, asked: Box<Asked>) -> Result<(), Box<Asked>> {
        self.asking.get_or_insert_default().add(asked)
    }

    /// Begins the next request, unless one is in progress.
    pub(in crate::user) fn next_ask(&mut self) -> Option<&Asked> {
        self.asking.take_if(|asking| asking.is_over());
        self.asking.as_mut()?.next()
    }

    /// Whether requests are in progress.
    pub(in crate::user) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// The position up to which its client has been shown everything: a session without an inbox
    /// waits for nothing.
    pub(in crate::user) fn position(&self) -> Seq {
        if self.shows == Shows::Nothing { Seq(i64::MAX) } else { self.at }
    }

    /// The result of the request in progress. Its answer waits until it is due.
    pub(in crate::user) fn done(&mut self, outcome: Outcome) {
        if let Some(asking) = &mut self.asking {
            asking.done(outcome);
            self.answer(self.position());
        }
    }

    /// Sends the answer that is due at a position, if one is.
    pub(super) fn answer(&mut self, at: Seq) {
        if !self.is_greeted {
            return;
        }
        let due = self.asking.as_mut().and_then(|asking| asking.take_due(at));
        let Some((asked, mut answer)) = due else { return };
        if let Answer::Marked { unread_count, seq, .. } = &mut answer
            && self.at >= *seq
        {
            *unread_count = self.unread_count; // it may have been shown more than the mark
        }
        self.push(Outgoing::Answer { asked: &asked, answer: &answer });
    }
}
