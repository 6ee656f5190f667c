//! A session's requests: carried out one after the other, in the order in which they came.
//!
//! An answer may have to wait for its place: the answer to a mark takes the place of the mark in
//! what its session is shown, so that the counts in a session's frames are always those of its
//! position. Where births are shown by a later state than their position's, the answer to a mark
//! comes before that state. The next request begins only when the answer was given, which bounds
//! everything.

use std::collections::VecDeque;

use crate::domain::ids::Seq;
use crate::session::{Answer, Ask, Asked};

/// How many requests may wait behind the one that is being carried out; further ones are refused.
const WAITING_MAX: usize = 32;

/// What became of a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What its client is told.
    pub(super) answer: Answer,
    /// The changes that it made, if any, by their numbers: its own session is not told of them.
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

/// Requests of one session; there is none of this while it wants nothing.
#[derive(Debug, Default)]
pub(super) struct Asking {
    current: Option<Box<Asked>>,
    outcome: Option<Outcome>,
    waiting: VecDeque<Box<Asked>>,
}

impl Asking {
    /// Takes a request in; gives it back when too many wait.
    pub(super) fn add(&mut self, asked: Box<Asked>) -> Result<(), Box<Asked>> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(asked);
        }
        self.waiting.push_back(asked);
        Ok(())
    }

    /// Begins the next request, unless one is under way.
    pub(super) fn next(&mut self) -> Option<&Asked> {
        if self.current.is_some() {
            return None;
        }
        self.current = Some(self.waiting.pop_front()?);
        self.current.as_deref()
    }

    /// Whether nothing is under way and nothing waits.
    pub(super) fn is_over(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    /// What became of the one that is under way.
    pub(super) fn done(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Whether it is not known yet what became of a mark.
    pub(super) fn is_marking(&self) -> bool {
        let is_mark = |asked: &Asked| matches!(asked.ask, Ask::Mark { .. });
        self.outcome.is_none() && self.current.as_deref().is_some_and(is_mark)
    }

    /// Whether a change was made by the request that is under way.
    pub(super) fn made(&self, seq: Seq) -> bool {
        let made = self.outcome.as_ref().and_then(|outcome| outcome.made);
        made.is_some_and(|(first, last)| first <= seq && seq <= last)
    }

    /// The request that is under way with its answer, when that is due.
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
