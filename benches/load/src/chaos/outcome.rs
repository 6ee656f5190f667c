//! How a schedule went.

use std::fmt::Write;

use super::check::Facts;
use super::fault::FaultKind;
use super::finding::Findings;
use super::ledger::Ledger;

/// How a schedule went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The faults that happened, by kind and number.
    pub faults: Vec<(FaultKind, u64)>,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Requests whose answer was lost.
    pub unanswered: u64,
    /// What was compared.
    pub checked: Checked,
    /// What is wrong.
    pub findings: Findings,
    /// What was not expected, and is no loss.
    pub surprises: Vec<String>,
    /// The last lines of the nodes' logs, where something is wrong.
    pub logs: String,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Writes that were acknowledged or may have been executed, with the store.
    pub writes: u64,
    /// Rows of inboxes, with what their owners are owed and what each client saw.
    pub inbox_rows: u64,
    /// Rows of the database's tables, with the writes and with what the nodes said.
    pub rows: u64,
    /// Entries of the histories of tickets.
    pub history_entries: u64,
    /// Frames of notifications and changes, with the inboxes.
    pub frames: u64,
    /// The sockets that they came over.
    pub sockets: u64,
    /// Boards of presence, with who was there.
    pub boards: u64,
    /// Notifications that webhooks were to be called for.
    pub deliveries: u64,
    /// The calls.
    pub calls: u64,
}

impl Checked {
    /// By name.
    pub(super) fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("writes", self.writes),
            ("inbox_rows", self.inbox_rows),
            ("rows", self.rows),
            ("history_entries", self.history_entries),
            ("frames", self.frames),
            ("sockets", self.sockets),
            ("boards", self.boards),
            ("deliveries", self.deliveries),
            ("calls", self.calls),
        ]
    }

    /// Adds another schedule's.
    pub(super) fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.inbox_rows += other.inbox_rows;
        self.rows += other.rows;
        self.history_entries += other.history_entries;
        self.frames += other.frames;
        self.sockets += other.sockets;
        self.boards += other.boards;
        self.deliveries += other.deliveries;
        self.calls += other.calls;
    }
}

impl Outcome {
    /// How many faults happened.
    #[must_use]
    pub fn fault_count(&self) -> u64 {
        self.faults.iter().map(|(_, count)| count).sum()
    }

    /// The ledger was compared with the store.
    pub(super) fn compared(&mut self, ledger: &Ledger, facts: &Facts) {
        let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
        let (inboxes, tickets) = (facts.inboxes.values(), facts.tickets.values());
        self.checked.writes = ledger.attempted();
        self.checked.inbox_rows = inboxes.map(|inbox| count(inbox.rows.len())).sum();
        self.checked.history_entries = tickets.map(|ticket| count(ticket.history.len())).sum();
    }

    /// A fault has happened.
    pub(super) fn happened(&mut self, kind: FaultKind) {
        match self.faults.iter_mut().find(|(one, _)| *one == kind) {
            Some((_, count)) => *count += 1,
            None => self.faults.push((kind, 1)),
        }
    }

    /// The faults as text.
    pub(super) fn kinds(&self) -> String {
        let kinds = self.faults.iter().map(|(kind, count)| format!("{count} {}", kind.name()));
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// Everything that was found, and the logs.
    pub(super) fn details(&self) -> String {
        let mut text = String::new();
        for surprise in &self.surprises {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "not expected: {surprise}");
        }
        for finding in &self.findings.texts {
            let _ = writeln!(text, "{finding}");
        }
        text.push_str(&self.logs);
        text
    }
}
