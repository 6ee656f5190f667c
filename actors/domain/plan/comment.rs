//! What a comment writes.

use super::super::comment::Comment;
use super::super::idempotency::{Creates, IdempotencyKey};
use super::super::notification::Announcement;
use super::{AnnouncedMessage, Plan, Rejection};

impl<'a> Plan<'a> {
    /// Plans a comment and the announcement to the users that it names. Answers with the comment
    /// as it is stored, with its id.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] when the ticket does not exist or is deleted, or when a recipient
    /// does not exist; [`Rejection::Conflict`] when the ticket has another version;
    /// [`Rejection::Used`] if its idempotency key was used before.
    pub fn comment(
        &mut self,
        comment: &'a Comment,
        ticket_version: i64,
        announcement: Option<&Announcement>,
        key: Option<&'a IdempotencyKey>,
    ) -> Result<(Comment, Option<AnnouncedMessage>), Rejection> {
        self.admit(key, Creates::Comment)?;
        match self.facts.tickets.get(&comment.ticket) {
            Some(ticket) if ticket.is_deleted => return Err(Rejection::NotFound),
            Some(ticket) if ticket.version != ticket_version => return Err(Rejection::Conflict),
            Some(_) => {}
            None => return Err(Rejection::NotFound),
        }
        let announced = match announcement {
            None => None,
            Some(announcement) => self.announce(announcement)?,
        };
        let id = self.context.ids.comment();
        self.rows.comments.push((id, comment));
        self.use_key(key, Creates::Comment, id.0, comment.created_at);
        Ok((Comment { id, ..comment.clone() }, announced))
    }
}
