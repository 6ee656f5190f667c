//! Comments in a ticket actor: they do not change the ticket, but who may comment and who may be
//! notified depends on it. It is read anew for each: no conflict would show that another node has
//! changed it.

use std::sync::Arc;

use tokio::time::Instant;

use super::message::{CommandError, CommentAsk, unavailable};
use super::{Known, TicketEntity, TicketState, outlive};
use crate::call::Call;
use crate::domain::comment::{Comment, comment, mentions};
use crate::domain::stream::{StreamEvent, TicketNews};
use crate::domain::ticket::{Caller, Refusal, is_visible};
use crate::port::StoreError;
use crate::port::in_time;

impl TicketEntity {
    pub(super) async fn take_comment(
        &self,
        call: Call<CommentAsk, Result<Comment, CommandError>>,
        state: &mut TicketState,
    ) {
        if state.is_leaving {
            return; // unopened: it goes back, and on to this actor's successor
        }
        state.last_command = Instant::now();
        let Some((CommentAsk { body, caller }, reply)) = call.open() else { return };
        let answer = self.comment(body, &caller, state).await;
        state.is_dummy_hash = state.known.is_none();
        reply.send(answer);
    }

    async fn comment(
        &self,
        body: String,
        author: &Caller,
        state: &mut TicketState,
    ) -> Result<Comment, CommandError> {
        state.known = None;
        let Known { ticket, project } = self.known(state).await?;
        let membership = self.membership(project, author).await?;
        if !is_visible(ticket, author, membership) {
            return Err(Refusal::NotFound.into());
        }
        let named: Vec<String> =
            mentions(&body).into_iter().flat_map(|mention| mention.spellings).collect();
        let people = if named.is_empty() {
            Vec::new()
        } else {
            let found = self.comments.people_named(&named, project.id);
            in_time(found).await.map_err(unavailable)?
        };
        let (comment, announcement) =
            comment(ticket, project, author, body, &people, self.clock.now());
        let ticket = ticket.clone();
        let (comments, users) = (Arc::clone(&self.comments), self.users.clone());
        let projects = self.projects.clone();
        let work = tokio::spawn(async move {
            let (comment, announced) = comments.commit_comment(comment, announcement).await?;
            if let Some(announced) = &announced {
                users.tell_all(announced);
            }
            let said = || TicketNews::new(&ticket, StreamEvent::Comment(comment.clone()));
            projects.tell(ticket.project, said);
            Ok(comment)
        });
        match outlive(work).await {
            Ok(comment) => Ok(comment),
            Err(StoreError::NotFound) => {
                state.known = None; // it was deleted elsewhere
                Err(Refusal::NotFound.into())
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}
