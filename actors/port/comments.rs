//! The store port of comments.

use async_trait::async_trait;

use super::tickets::AnnouncedMessage;
use super::{Page, PageRequest, StoreError};
use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::ids::{CommentId, ProjectId, TicketId, UserId};
use bellpull_domain::ticket::{Ticket, VisibleTo};
use bellpull_domain::user::{Role, User};

/// Who besides those who work on a ticket, or have commented on it, may be mentioned there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circle {
    /// None.
    Ticket,
    /// The members of its project.
    Members,
    /// All whose role lets them see tickets of others.
    Staff,
}

impl Circle {
    /// The roles of all who are in it, whatever their projects.
    #[must_use]
    pub fn roles(self) -> Vec<String> {
        let sees_others =
            |role: &Role| !matches!(VisibleTo::of(UserId(0), role), VisibleTo::Own(_));
        let staff = Role::BUILT_IN.iter().filter(|role| self == Self::Staff && sees_others(role));
        staff.map(|role| role.as_str().to_owned()).collect()
    }
}

/// Comments, and the users that they mention.
#[async_trait]
pub trait CommentStore: std::fmt::Debug + Send + Sync + 'static {
    /// Writes a comment and its announcement in one transaction; the store assigns its id. On the
    /// disk when it returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the ticket was deleted; [`StoreError::Conflict`] if it has
    /// another version: other users may see it now, or be notified; [`StoreError::Used`] if its
    /// idempotency key was used before.
    async fn commit_comment(
        &self,
        new: NewComment,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError>;

    /// One of a ticket's comments, if there is such a one.
    async fn comment(&self, ticket: TicketId, id: CommentId)
    -> Result<Option<Comment>, StoreError>;

    /// A page of a ticket's comments, oldest first.
    async fn comments(
        &self,
        ticket: TicketId,
        page: PageRequest,
    ) -> Result<Page<Comment>, StoreError>;

    /// The active accounts of these usernames, or of names that look like them, each with whether
    /// it is on the project's list of members, in the order of their ids.
    async fn people_named(
        &self,
        usernames: &[String],
        project: ProjectId,
    ) -> Result<Vec<(User, bool)>, StoreError>;

    /// The active accounts with an id above `after`, at most `limit`, by their ids: the ticket's
    /// creator, its developers, its comments' authors, and who is in the circle; each with whether
    /// it is on the project's list of members.
    async fn people_around(
        &self,
        ticket: &Ticket,
        circle: Circle,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<(User, bool)>, StoreError>;
}
