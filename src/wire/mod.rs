//! The clients' formats: bytes to what was heard, what happened to bytes. Pure.

/// A family of clients, each with frames of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ticket alerts: flat frames with a `notification_type`.
    Incident,
}
