//! The messages of ticket actors, and their errors.

use serde_json::Value;

use crate::supervisor::Protocol;
use bellpull_domain::comment::{Comment, Mentioned};
use bellpull_domain::idempotency::{IdempotencyKey, Used};
use bellpull_domain::ids::{ProjectId, TicketId};
use bellpull_domain::ticket::{Caller, Command, NewTicket, Refusal, Ticket};
use bellpull_port::StoreError;
use bellpull_port::call::Call;

/// A command with its caller.
#[derive(Debug)]
pub enum TicketAsk {
    /// Create the ticket with this actor's id.
    Create {
        /// Where.
        project: ProjectId,
        /// The new ticket.
        new: NewTicket,
        /// The caller.
        caller: Caller,
        /// The key that makes a retry the same request.
        key: Option<IdempotencyKey>,
    },
    /// Do something to it.
    Command {
        /// The command.
        command: Command,
        /// The caller.
        caller: Caller,
        /// The version that the caller has seen; a command on another one is refused.
        seen: Option<i64>,
    },
}

pub(super) type Answer = Result<Ticket, CommandError>;

/// The messages of a ticket actor.
#[derive(Debug)]
pub enum TicketMessage {
    /// A command.
    Ask(Call<TicketAsk, Answer>),
    /// A comment on the ticket.
    Comment(Call<CommentAsk, Result<Commented, CommandError>>),
    /// The supervisor's wheel has turned.
    Tick,
    /// How is it?
    Observe(Call<(), Value>),
    /// Fail: for tests of failures.
    #[cfg(feature = "testing")]
    Panic,
}

/// A comment with its author.
#[derive(Debug)]
pub struct CommentAsk {
    /// The text.
    pub body: String,
    /// The author.
    pub caller: Caller,
    /// The key that makes a retry the same request.
    pub key: Option<IdempotencyKey>,
}

/// A comment that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commented {
    /// It.
    pub comment: Comment,
    /// Whom it has notified, and its author where it mentions that one.
    pub mentioned: Mentioned,
}

/// How ticket actors are addressed.
#[derive(Debug)]
pub struct TicketProtocol;

impl Protocol for TicketProtocol {
    type Id = TicketId;
    type Message = TicketMessage;
    type Note = ();

    const KIND: &'static str = "ticket";

    fn number(id: TicketId) -> u64 {
        id.0.unsigned_abs()
    }

    fn tick() -> TicketMessage {
        TicketMessage::Tick
    }

    fn observe(call: Call<(), Value>) -> TicketMessage {
        TicketMessage::Observe(call)
    }
}

/// Why a ticket command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request's idempotency key was used before.
    #[error("the idempotency key was used before")]
    Used(Used),
    /// A value of the request cannot be stored.
    #[error("a value cannot be stored")]
    Unstorable,
    /// The store or the actor cannot answer now; nothing was acknowledged.
    #[error("the hub cannot carry this out now: {0}")]
    Unavailable(String),
}

pub(crate) fn unavailable(error: StoreError) -> CommandError {
    match error {
        StoreError::Used(used) => CommandError::Used(used),
        StoreError::Unstorable => CommandError::Unstorable,
        error @ (StoreError::Conflict
        | StoreError::Taken(_)
        | StoreError::NotFound
        | StoreError::TooSimilar(_)
        | StoreError::LastSuperAdmin
        | StoreError::TooSlow
        | StoreError::Busy
        | StoreError::Unavailable(_)) => CommandError::Unavailable(error.to_string()),
    }
}
