//! The fake store as a store of comments.

use async_trait::async_trait;

use super::store::{FakeStore, Op};
use super::tickets::announce;
use crate::comments::Circle;
use crate::tickets::AnnouncedMessage;
use crate::{CommentStore, Page, PageRequest, StoreError};
use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::confusable::username_key;
use bellpull_domain::ids::{CommentId, ProjectId, TicketId, UserId};
use bellpull_domain::ticket::Ticket;
use bellpull_domain::user::User;

fn is_alike(user: &User, name: &str) -> bool {
    username_key(&user.username) == username_key(name)
}

#[async_trait]
impl CommentStore for FakeStore {
    async fn commit_comment(
        &self,
        NewComment { mut comment, ticket_version, announcement, key: _ }: NewComment,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError> {
        self.pass(Op::Commit).await?;
        let mut data = self.data();
        let ticket = data.tickets.get(&comment.ticket).ok_or(StoreError::NotFound)?;
        if ticket.version != ticket_version {
            return Err(StoreError::Conflict);
        }
        let last = data.comments.last().map_or(0, |comment| comment.id.0);
        comment.id = CommentId(last + 1);
        data.comments.push(comment.clone());
        let announced = announcement.map(|announcement| announce(&mut data, announcement));
        Ok((comment, announced))
    }

    async fn comment(
        &self,
        ticket: TicketId,
        id: CommentId,
    ) -> Result<Option<Comment>, StoreError> {
        self.pass(Op::Ticket).await?;
        let is_it = |comment: &&Comment| comment.ticket == ticket && comment.id == id;
        Ok(self.data().comments.iter().find(is_it).cloned())
    }

    async fn comments(
        &self,
        ticket: TicketId,
        page: PageRequest,
    ) -> Result<Page<Comment>, StoreError> {
        self.pass(Op::Ticket).await?;
        let data = self.data();
        let own = || data.comments.iter().filter(|comment| comment.ticket == ticket);
        let number = |n: i64| usize::try_from(n).unwrap_or(0);
        let rows = own().skip(number(page.offset())).take(number(page.page_size.into()));
        Ok(Page {
            count: i64::try_from(own().count()).unwrap_or(i64::MAX),
            rows: rows.cloned().collect(),
        })
    }

    async fn people_named(
        &self,
        usernames: &[String],
        project: ProjectId,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        self.pass(Op::Ticket).await?;
        let data = self.data();
        let named =
            data.users.values().filter(|user| usernames.iter().any(|name| is_alike(user, name)));
        let is_member = |user: &User| data.members.contains(&(project, user.id));
        let active = named.filter(|user| user.is_active);
        Ok(active.map(|user| (user.clone(), is_member(user))).collect())
    }

    async fn people_around(
        &self,
        ticket: &Ticket,
        circle: Circle,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        self.pass(Op::Ticket).await?;
        let data = self.data();
        let roles = circle.roles();
        let is_member = |user: &User| data.members.contains(&(ticket.project, user.id));
        let has_said = |user: &User| {
            data.comments.iter().any(|one| one.ticket == ticket.id && one.author == user.id)
        };
        let is_around = |user: &&User| {
            let has_role = roles.iter().any(|role| role == user.role.as_str());
            let is_in_circle = has_role || (circle == Circle::Members && is_member(user));
            let works = ticket.created_by == user.id || ticket.assigned_to.contains(&user.id);
            user.is_active && user.id > after && (is_in_circle || works || has_said(user))
        };
        let mut found: Vec<&User> = data.users.values().filter(is_around).collect();
        found.sort_unstable_by_key(|user| user.id);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found.into_iter().map(|user| (user.clone(), is_member(user))).collect())
    }
}
