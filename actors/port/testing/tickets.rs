//! The fake store as a store of tickets.

use async_trait::async_trait;

use super::store::{Data, FakeStore, Op};
use crate::tickets::{AnnouncedMessage, Committed, StoredEntry, TicketFilter};
use crate::{Page, PageRequest, StoreError, TicketStore};
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::Announcement;
use bellpull_domain::routing::{Channel, Channels, Group};
use bellpull_domain::ticket::{Decision, Ticket};
use bellpull_domain::user::{Role, User};

pub(super) fn no_lists<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("the fake keeps no lists".to_owned()))
}

pub(super) fn announce(data: &mut Data, announcement: Announcement) -> AnnouncedMessage {
    let Announcement { message, audience, .. } = announcement;
    let is_in = |user: &&User| match audience.group {
        Some(Group::Admins) => user.role.is_admin(),
        Some(Group::SuperAdmins) => user.role == Role::SuperAdmin,
        None => false,
    };
    let members: Vec<UserId> = data.users.values().filter(is_in).map(|user| user.id).collect();
    let content = MessageContent::new(message);
    let recipients = audience.recipients(&members);
    let entries = recipients.into_iter().map(|user| data.append(user, &content)).collect();
    AnnouncedMessage { content, entries, channels: Channels::of(&Channel::ALL) }
}

#[async_trait]
impl TicketStore for FakeStore {
    async fn reserve_ticket_id(&self) -> Result<TicketId, StoreError> {
        self.pass(Op::Ticket).await?;
        let mut data = self.data();
        data.last_ticket += 1;
        Ok(TicketId(data.last_ticket))
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        self.pass(Op::Ticket).await?;
        Ok(self.ticket_now(id))
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        self.pass(Op::Ticket).await?;
        let data = self.data();
        Ok(ids.iter().filter_map(|id| data.users.get(id).cloned()).collect())
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        self.pass(Op::Commit).await?;
        let Decision { mut ticket, deleted, entry, announcement, of_open_project: _, key: _ } =
            decision;
        let mut data = self.data();
        let stored = data.tickets.get(&ticket.id).map_or(0, |stored| stored.version);
        let was = data.history.iter().any(|(id, _)| *id == ticket.id);
        if stored != ticket.version - 1 || (stored == 0 && was) {
            return Err(StoreError::Conflict);
        }
        if stored == 0 {
            let project = data.projects.get(&ticket.project).ok_or(StoreError::NotFound)?;
            ticket.key = format!("{}-{}", project.key, ticket.id);
        }
        data.history.push((ticket.id, entry));
        if deleted {
            data.tickets.remove(&ticket.id);
        } else {
            data.tickets.insert(ticket.id, ticket.clone());
        }
        let announced = announcement.map(|announcement| announce(&mut data, announcement));
        Ok(Committed { ticket, announced })
    }

    async fn tickets(
        &self,
        _filter: &TicketFilter,
        _page: PageRequest,
    ) -> Result<Page<Ticket>, StoreError> {
        no_lists()
    }

    async fn history(
        &self,
        _id: TicketId,
        _page: PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError> {
        no_lists()
    }
}
