//! Comments in a ticket actor: they do not change the ticket, but who may comment and who may be
//! notified depends on it. It is read anew for each: no conflict would show that another node has
//! changed it.

use std::sync::Arc;

use opentelemetry::trace::SpanKind;
use tokio::time::Instant;

use super::message::{CommandError, CommentAsk, Commented, unavailable};
use super::{Known, TRIES, TicketEntity, TicketState, contended, outlive};
use bellpull_domain::comment::{NewComment, comment, mentions};
use bellpull_domain::stream::{StreamEvent, TicketNews};
use bellpull_domain::ticket::{Refusal, is_visible};
use bellpull_port::StoreError;
use bellpull_port::call::Call;
use bellpull_port::in_time;
use bellpull_port::trace::Trace;

impl TicketEntity {
    pub(super) async fn take_comment(
        &self,
        call: Call<CommentAsk, Result<Commented, CommandError>>,
        state: &mut TicketState,
    ) {
        if state.is_leaving {
            return; // unopened: it goes back, and on to this actor's successor
        }
        state.last_command = Instant::now();
        let Some((ask, reply)) = call.open() else { return };
        let mut span = reply.trace().span("comment", SpanKind::Internal);
        span.set("bellpull.ticket", state.id.0);
        let answer = span.trace().within(self.comment(&ask, state)).await;
        if let Err(error) = &answer {
            span.fail(|| error.to_string());
        }
        state.is_blank = state.known.is_none();
        reply.send(answer);
    }

    async fn comment(
        &self,
        ask: &CommentAsk,
        state: &mut TicketState,
    ) -> Result<Commented, CommandError> {
        for _ in 0..TRIES {
            let was_known = state.known.is_some();
            let known = self.known(state).await?;
            match self.comment_on(known, ask).await {
                // A rival may have changed the ticket: its developers, or that it exists.
                Err(Unwritten::Changed) => state.known = None,
                Err(Unwritten::Refused(_)) if was_known => state.known = None,
                Err(Unwritten::Refused(error)) => {
                    state.known = None;
                    return Err(error);
                }
                Err(Unwritten::Failed(error)) => return Err(error),
                Ok(commented) => return Ok(commented),
            }
        }
        Err(contended())
    }

    async fn comment_on(
        &self,
        Known { ticket, project }: &Known,
        CommentAsk { body, caller: author, key }: &CommentAsk,
    ) -> Result<Commented, Unwritten> {
        let membership = self.membership(project, author).await.map_err(Unwritten::Failed)?;
        if !is_visible(ticket, author, membership) {
            return Err(Unwritten::Refused(Refusal::NotFound.into()));
        }
        let named: Vec<String> =
            mentions(body).into_iter().flat_map(|mention| mention.spellings).collect();
        let people = if named.is_empty() {
            Vec::new()
        } else {
            let found = self.comments.people_named(&named, project.id);
            in_time(found).await.map_err(unavailable).map_err(Unwritten::Failed)?
        };
        let (comment, mentioned, announcement) =
            comment(ticket, project, author, body.clone(), &people, self.clock.now());
        let (ticket_version, key) = (ticket.version, key.clone());
        let new = NewComment { comment, ticket_version, announcement, key };
        let ticket = ticket.clone();
        let (comments, users) = (Arc::clone(&self.comments), self.users.clone());
        let projects = self.projects.clone();
        let work = tokio::spawn(Trace::current().within(async move {
            let (comment, announced) = comments.commit_comment(new).await?;
            if let Some(announced) = &announced {
                users.tell_all(announced);
            }
            let said = || TicketNews::new(&ticket, StreamEvent::Comment(comment.clone()));
            projects.tell(ticket.project, said);
            Ok(Commented { comment, mentioned })
        }));
        outlive(work).await.map_err(|error| match error {
            StoreError::Conflict => Unwritten::Changed,
            // It was deleted elsewhere.
            StoreError::NotFound => Unwritten::Refused(Refusal::NotFound.into()),
            error @ (StoreError::Taken(_)
            | StoreError::TooSimilar(_)
            | StoreError::Used(_)
            | StoreError::LastSuperAdmin
            | StoreError::Unstorable
            | StoreError::TooSlow
            | StoreError::Busy
            | StoreError::Unavailable(_)) => Unwritten::Failed(unavailable(error)),
        })
    }
}

/// Why a comment was not written.
enum Unwritten {
    /// The ticket has another version.
    Changed,
    /// The author may not comment on the ticket as it is known, or it does not exist.
    Refused(CommandError),
    /// The store has failed.
    Failed(CommandError),
}
