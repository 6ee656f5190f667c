//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::comment::Comment;
use bellpull_actors::domain::ids::{ProjectId, TicketId};
use bellpull_actors::domain::notification::Announcement;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::CommentStore;
use bellpull_actors::port::comments::*;
use bellpull_actors::port::tickets::AnnouncedMessage;
use bellpull_actors::port::{Page, PageRequest, StoreError};

#[async_trait]
impl CommentStore for PostgresStore {
    async fn commit_comment(
        &self,
        comment: Comment,
        announcement: Option<Announcement>,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn comments(
        &self,
        ticket: TicketId,
        page: PageRequest,
    ) -> Result<Page<Comment>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn people_named(
        &self,
        usernames: &[String],
        project: ProjectId,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
