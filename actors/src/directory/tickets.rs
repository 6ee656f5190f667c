//! Handles to the ticket actors.

use std::sync::Arc;

use super::{Directory, Unanswered};
use crate::ticket::message::{
    CommandError, CommentAsk, Commented, TicketAsk, TicketMessage, TicketProtocol, unavailable,
};
use bellpull_domain::comment::Comment;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{ProjectId, TicketId};
use bellpull_domain::ticket::{Caller, Command, NewTicket, Ticket};
use bellpull_port::call::Call;

/// Handles to the ticket actors.
#[derive(Debug, Clone)]
pub struct Tickets {
    pub(crate) directory: Directory<TicketProtocol>,
    pub(crate) store: Arc<dyn bellpull_port::TicketStore>,
}

impl Tickets {
    /// Messages that wait in their mailboxes.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.directory.waiting()
    }

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
        self.create_once(project, new, caller, None).await
    }

    /// The same, for a request that may be repeated.
    ///
    /// # Errors
    /// The same, and [`CommandError::Used`].
    pub async fn create_once(
        &self,
        project: ProjectId,
        new: NewTicket,
        caller: Caller,
        key: Option<IdempotencyKey>,
    ) -> Result<Ticket, CommandError> {
        let id = self.store.reserve_ticket_id().await.map_err(unavailable)?;
        self.ask(id, TicketAsk::Create { project, new, caller, key }).await
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
        self.command_at(id, command, caller, None).await
    }

    /// The same for a caller that has seen this version of the ticket, if it says so.
    ///
    /// # Errors
    /// See [`CommandError`]; [`Refusal::Stale`] if the ticket has another version.
    pub async fn command_at(
        &self,
        id: TicketId,
        command: Command,
        caller: Caller,
        seen: Option<i64>,
    ) -> Result<Ticket, CommandError> {
        self.ask(id, TicketAsk::Command { command, caller, seen }).await
    }

    /// Adds a comment to a ticket. Users who are mentioned in the body (`@username`) and may see
    /// the ticket are notified, and the project's watchers are told. When this returns `Ok`, the
    /// comment and the notifications are on the disk.
    ///
    /// `body` has 1 to 10,000 characters and is not blank (the edge checks it).
    ///
    /// # Errors
    /// See [`CommandError`]; [`Refusal::NotFound`] for a ticket that the caller may not see.
    pub async fn comment(
        &self,
        id: TicketId,
        body: String,
        caller: Caller,
    ) -> Result<Comment, CommandError> {
        Ok(self.comment_once(id, body, caller, None).await?.comment)
    }

    /// The same, for a request that may be repeated.
    ///
    /// # Errors
    /// The same, and [`CommandError::Used`].
    pub async fn comment_once(
        &self,
        id: TicketId,
        body: String,
        caller: Caller,
        key: Option<IdempotencyKey>,
    ) -> Result<Commented, CommandError> {
        self.put(id, CommentAsk { body, caller, key }, TicketMessage::Comment).await
    }

    async fn ask(&self, id: TicketId, ask: TicketAsk) -> Result<Ticket, CommandError> {
        self.put(id, ask, TicketMessage::Ask).await
    }

    async fn put<Q, T>(
        &self,
        id: TicketId,
        question: Q,
        wrap: fn(Call<Q, Result<T, CommandError>>) -> TicketMessage,
    ) -> Result<T, CommandError> {
        match self.directory.ask(id, question, wrap).await {
            Ok(answer) => answer,
            Err(Unanswered::Returned(_)) => Err(CommandError::Unavailable(
                "the ticket's actor is down or overloaded".to_owned(),
            )),
            Err(Unanswered::Lost) => {
                Err(CommandError::Unavailable("the ticket's actor did not answer".to_owned()))
            }
        }
    }
}
