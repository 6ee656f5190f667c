//! What a comment writes.

use super::super::comment::Comment;
use super::super::notification::Announcement;
use super::{AnnouncedMessage, Plan, Rejection};

impl<'a> Plan<'a> {
    /// Plans a comment and the announcement to the users that it names. Answers with the comment
    /// as it is stored, with its id.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] when the ticket does not exist or is deleted, or when a recipient
    /// does not exist.
    pub fn comment(
        &mut self,
        comment: &'a Comment,
        announcement: Option<&Announcement>,
    ) -> Result<(Comment, Option<AnnouncedMessage>), Rejection> {
        if self.facts.tickets.get(&comment.ticket).is_none_or(|ticket| ticket.is_deleted) {
            return Err(Rejection::NotFound);
        }
        let announced = match announcement {
            None => None,
            Some(announcement) => self.announce(announcement)?,
        };
        let id = self.context.ids.comment();
        self.rows.comments.push((id, comment));
        Ok((Comment { id, ..comment.clone() }, announced))
    }
}
