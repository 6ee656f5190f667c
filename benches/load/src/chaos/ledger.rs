//! What was asked of the nodes, and what they acknowledged.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

/// How certain it is that a request was executed, and how often it may have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// An answer said that it was done.
    pub(super) is_acknowledged: bool,
    /// How often it was sent without an answer that it was not done.
    pub(super) attempts: u64,
    /// How many operations had changed the disk when it was acknowledged, if they are counted;
    /// otherwise the time.
    pub(super) at: usize,
}

impl Asked {
    /// It was done; so many operations have changed the disk.
    pub(super) fn acknowledge(&mut self, at: usize) {
        if !self.is_acknowledged {
            (self.is_acknowledged, self.at) = (true, at);
        }
    }

    /// As it was known when so many operations had changed the disk: what was acknowledged later
    /// may have been done by then, or not.
    fn until(&mut self, operations: usize) {
        self.is_acknowledged &= self.at <= operations;
    }

    /// How often it may have been executed, where a repeat is executed again.
    pub(super) fn each_attempt(self) -> std::ops::RangeInclusive<u64> {
        u64::from(self.is_acknowledged)..=self.attempts
    }

    /// The same where repeats have no effect.
    pub(super) fn once(self) -> std::ops::RangeInclusive<u64> {
        u64::from(self.is_acknowledged)..=self.attempts.min(1)
    }
}

/// A ticket's life.
#[derive(Debug, Clone, Default)]
pub(super) struct TicketRecord {
    /// Unlike all others.
    pub(super) title: String,
    pub(super) created: Asked,
    /// Known once it is acknowledged.
    pub(super) id: Option<u64>,
    pub(super) steps: Vec<Step>,
    pub(super) comments: Vec<CommentRecord>,
}

/// A change of a ticket.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// `edit`, or the action of the workflow.
    pub(super) action: &'static str,
    pub(super) asked: Asked,
    /// Whether a late execution of a repeated request is possible: the action fits the ticket's
    /// later statuses, too.
    pub(super) may_repeat: bool,
}

/// A comment; its request is not repeated.
#[derive(Debug, Clone)]
pub(super) struct CommentRecord {
    /// Unlike all others.
    pub(super) body: String,
    /// Who is named in it.
    pub(super) mentions: Option<u64>,
    pub(super) asked: Asked,
}

/// A notification to some users, with an `Idempotency-Key`.
#[derive(Debug, Clone)]
pub(super) struct SendRecord {
    /// Unlike all others.
    pub(super) title: String,
    pub(super) recipients: Vec<u64>,
    /// The sender's token and the request's body, for a repeat with the same key.
    pub(super) token: String,
    pub(super) body: Value,
    pub(super) asked: Asked,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Read,
    Unread,
    Deleted,
}

/// A mark; each row is marked by one writer.
#[derive(Debug, Clone)]
pub(super) struct MarkRecord {
    pub(super) user: u64,
    /// The notification.
    pub(super) id: u64,
    pub(super) mark: Mark,
    pub(super) asked: Asked,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) tickets: Vec<TicketRecord>,
    pub(super) sends: Vec<SendRecord>,
    pub(super) marks: Vec<MarkRecord>,
    /// Answers that no writer expects.
    pub(super) surprises: Vec<String>,
    /// Requests whose answer was lost.
    pub(super) unanswered: u64,
}

impl Ledger {
    /// Adds another writer's.
    pub(super) fn merge(&mut self, other: Self) {
        self.tickets.extend(other.tickets);
        self.sends.extend(other.sends);
        self.marks.extend(other.marks);
        self.surprises.extend(other.surprises);
        self.unanswered += other.unanswered;
    }

    /// The same as it was known when so many operations had changed the disk.
    pub(super) fn until(&self, operations: usize) -> Self {
        let mut known = self.clone();
        for ticket in &mut known.tickets {
            ticket.created.until(operations);
            ticket.id = ticket.id.filter(|_| ticket.created.is_acknowledged);
            let steps = ticket.steps.iter_mut().map(|step| &mut step.asked);
            let comments = ticket.comments.iter_mut().map(|comment| &mut comment.asked);
            steps.chain(comments).for_each(|asked| asked.until(operations));
        }
        known.sends.iter_mut().for_each(|send| send.asked.until(operations));
        known.marks.iter_mut().for_each(|mark| mark.asked.until(operations));
        known
    }

    /// What was acknowledged in one of these times may be lost: only messages are sent then.
    pub(super) fn may_lose(&mut self, times: &[Range<usize>]) {
        for asked in self.sends.iter_mut().map(|send| &mut send.asked) {
            asked.is_acknowledged &= !times.iter().any(|time| time.contains(&asked.at));
        }
    }

    /// The notifications that were, or may have been, deleted, and their users.
    pub(super) fn deleted(&self) -> HashMap<u64, u64> {
        let deleted = self.marks.iter().filter(|mark| mark.mark == Mark::Deleted);
        let deleted = deleted.filter(|mark| mark.asked.attempts > 0);
        deleted.map(|mark| (mark.id, mark.user)).collect()
    }

    /// How many writes were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.writes().map(|asked| u64::from(asked.is_acknowledged)).sum()
    }

    /// How many writes were acknowledged, or may have been executed.
    pub(super) fn attempted(&self) -> u64 {
        self.writes().map(|asked| u64::from(asked.is_acknowledged || asked.attempts > 0)).sum()
    }

    fn writes(&self) -> impl Iterator<Item = Asked> {
        let tickets = self.tickets.iter().flat_map(|ticket| {
            let steps = ticket.steps.iter().map(|step| step.asked);
            let comments = ticket.comments.iter().map(|comment| comment.asked);
            std::iter::once(ticket.created).chain(steps).chain(comments)
        });
        let sends = self.sends.iter().map(|send| send.asked);
        let marks = self.marks.iter().map(|mark| mark.asked);
        tickets.chain(sends).chain(marks)
    }
}
