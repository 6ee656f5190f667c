//! Typed find-or-spawn: the handles through which the edges reach user and ticket actors.

use crate::domain::ids::{LoginId, ProjectId, TicketId, UserId};
use crate::domain::inbox::Change;
use crate::domain::ticket::{Caller, Command, NewTicket, Refusal, Ticket};
use crate::port::outlet::Ending;
use crate::port::tickets::Told;
use crate::session::{Heard, SessionStart};

/// The way to the user actors.
#[derive(Debug, Clone)]
pub struct Users;

/// The way to the ticket actors.
#[derive(Debug, Clone)]
pub struct Tickets;

/// A session that its user's actor has taken in: its reader's way to that actor.
#[derive(Debug, Clone)]
pub struct Session;

/// Why a session was not taken in. The outlet comes back closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The user has as many sessions as one may have.
    #[error("the user has too many sessions")]
    TooMany,
    /// The hub cannot take it in now.
    #[error("the hub cannot take a session in now")]
    Unavailable,
}

/// Why a ticket command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store or the actor cannot answer now; nothing was acknowledged.
    #[error("the hub cannot carry this out now: {0}")]
    Unavailable(String),
}

impl Users {
    /// Gives a session to its user's actor, which greets it, sends its backlog and then what
    /// comes live. When it cannot, the outlet has been closed with the fitting [`Ending`].
    ///
    /// # Errors
    /// See [`AttachError`].
    pub async fn attach(
        &self,
        caller: Caller,
        start: SessionStart,
    ) -> Result<Session, AttachError> {
        todo!()
    }

    /// Tells the user's actor of a change, if the user has a session on this node.
    pub fn tell(&self, user: UserId, change: Change) {
        todo!()
    }

    /// Tells all recipients of an announcement, those with a session on this node.
    pub fn tell_all(&self, told: &Told) {
        todo!()
    }

    /// Ends the user's sessions that were opened with a login (`None`: all of them).
    pub fn end_sessions(&self, user: UserId, login: Option<LoginId>, why: Ending) {
        todo!()
    }
}

impl Session {
    /// Tells the user's actor what was heard. Once the actor is gone this does nothing: its
    /// outlet has closed the connection.
    pub fn heard(&self, heard: Heard) {
        todo!()
    }
}

impl Tickets {
    /// Raises a ticket in a project. When this returns `Ok`, ticket, history and notifications
    /// are on the disk.
    ///
    /// # Errors
    /// See [`CommandError`]; an unknown project is [`Refusal::Invalid`] of `project`.
    pub async fn create(
        &self,
        project: ProjectId,
        new: NewTicket,
        caller: Caller,
    ) -> Result<Ticket, CommandError> {
        todo!()
    }

    /// Carries out a command on a ticket; the ticket after it.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn command(
        &self,
        id: TicketId,
        command: Command,
        caller: Caller,
    ) -> Result<Ticket, CommandError> {
        todo!()
    }
}
