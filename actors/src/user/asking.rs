//! A session's requests: carried out one after the other, in order.
//!
//! An answer may have to wait for its position: the answer to a mark takes the place of the mark in
//! what its session is shown, so that the counts in a session's frames always belong to its
//! position. If entries are shown in a later state than their position's, the answer to a mark
//! comes before that state. The next request begins only after the answer, which bounds everything.

use std::collections::VecDeque;

use bellpull_domain::ids::Seq;
use bellpull_port::session::{Answer, Ask, Asked};

/// How many requests may wait behind the one in progress; further ones are rejected.
const WAITING_MAX: usize = 32;

/// The result of a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The answer to its client.
    pub(super) answer: Answer,
    /// The changes that it made, if any, by their numbers: its own session is not sent them.
    made: Option<(Seq, Seq)>,
    /// The position at which the answer is due.
    due: Seq,
}

impl Outcome {
    /// An answer that is due at once.
    pub(super) fn now(answer: Answer) -> Self {
        Self { answer, made: None, due: Seq::ZERO }
    }

    /// An answer that is true from a position on.
    pub(super) fn at(due: Seq, answer: Answer) -> Self {
        Self { answer, made: None, due }
    }

    /// The answer to a request that made the changes from `first` to `last`.
    pub(super) fn made(first: Seq, last: Seq, answer: Answer) -> Self {
        Self { answer, made: Some((first, last)), due: last }
    }
}

/// The requests of one session; `None` while it has none.
#[derive(Debug, Default)]
pub(super) struct Asking {
    current: Option<Box<Asked>>,
    outcome: Option<Outcome>,
    waiting: VecDeque<Box<Asked>>,
}

impl Asking {
    /// Queues a request; returns it if too many wait.
    pub(super) fn add(&mut self, asked: Box<Asked>) -> Result<(), Box<Asked>> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(asked);
        }
        self.waiting.push_back(asked);
        Ok(())
    }

    /// Begins the next request, unless one is in progress.
    pub(super) fn next(&mut self) -> Option<&Asked> {
        if self.current.is_some() {
            return None;
        }
        self.current = Some(self.waiting.pop_front()?);
        self.current.as_deref()
    }

    /// Whether no request is in progress or waits.
    pub(super) fn is_over(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    /// The result of the one in progress.
    pub(super) fn done(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Whether the result of a mark is not known yet.
    pub(super) fn is_marking(&self) -> bool {
        let is_mark = |asked: &Asked| matches!(asked.ask, Ask::Mark { .. });
        self.outcome.is_none() && self.current.as_deref().is_some_and(is_mark)
    }

    /// Whether the request in progress made a change.
    pub(super) fn made(&self, seq: Seq) -> bool {
        let made = self.outcome.as_ref().and_then(|outcome| outcome.made);
        made.is_some_and(|(first, last)| first <= seq && seq <= last)
    }

    /// The request in progress with its answer, when that is due.
    pub(super) fn take_due(&mut self, at: Seq) -> Option<(Box<Asked>, Answer)> {
        let outcome = self.outcome.take_if(|outcome| outcome.due <= at)?;
        Some((self.current.take()?, outcome.answer))
    }
}

/// A request that was not done.
pub(super) fn refused(
    code: &'static str,
    message: impl Into<String>,
    retry_after_ms: Option<u32>,
) -> Answer {
    Answer::Refused { code, message: message.into(), retry_after_ms }
}
