//! How the ports that are the same for both stores read and write here: by threads that read, and
//! by the writer.

use std::sync::Arc;

use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::routing::Channels;
use bellpull_domain::ticket::Decision;
use bellpull_domain::user::User;
use bellpull_port::accounts::{AnnounceUser, NewUser, UserChanges};
use bellpull_port::audit::AuditEntry;
use bellpull_port::tickets::{AnnouncedMessage, Committed};
use bellpull_port::{SharedTickets, StoreError};

use super::ids::Counter;
use super::readers::{SHORT_READ_MAX, Statements};
use super::writer::{Done, Write, mismatch};
use super::{Sqlite, nodes};
use crate::engine::{self, Change, Dialect, NewIds, Operation, READ_MAX, Reads, sql, take, values};

impl Dialect for Sqlite {
    async fn read<O: Operation>(
        &self,
        reads: Reads,
        operation: O,
    ) -> Result<O::Answer, StoreError> {
        let (readers, read_max) = match reads {
            Reads::Short => (&*self.short_reads, SHORT_READ_MAX),
            Reads::Lists => (&self.lists, READ_MAX),
            Reads::Searches => (&self.searches, READ_MAX),
            Reads::Within(read_max) => (&self.lists, read_max),
        };
        let answer = readers.read(Box::new(operation), Statements::Some, read_max).await?;
        take::<O>(answer)
    }

    async fn read_one<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        self.short_reads.run(operation).await
    }

    async fn settle(&self, what: engine::Deferred) -> Result<(), StoreError> {
        match what {
            engine::Deferred::Notification(id) => self.barrier.notification(id).await,
            engine::Deferred::Inbox(user) => self.barrier.inbox(user).await,
            engine::Deferred::All => self.barrier.all_users().await,
        }
    }

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        let write = Write::Operation(Box::new(operation));
        let Done::Operation(answer) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        take::<O>(answer)
    }

    async fn next_ticket_id(&self) -> Result<TicketId, StoreError> {
        Ok(TicketId(self.ids.next(Counter::Tickets)))
    }

    fn shared_tickets(&self) -> Option<&dyn SharedTickets> {
        None
    }

    async fn create_user(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        let write = Write::CreateUser { new: Box::new(new), announce, once };
        let Done::Created(created) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*created)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.users.of(id).await
    }

    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError> {
        let write = Write::UpdateUser(id, Box::new(changes));
        let Done::Updated(user) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*user)
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        let write = Write::Commit(Box::new(decision));
        let Done::Committed(committed) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*committed)
    }

    async fn comment(
        &self,
        new: NewComment,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError> {
        let Done::Commented(done) = self.writer.write(Write::Comment(Box::new(new))).await? else {
            return Err(mismatch());
        };
        Ok(*done)
    }

    fn channels(&self) -> Channels {
        self.channels
    }

    fn reports(&self) -> &tokio::sync::Mutex<()> {
        &self.reports
    }

    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let AuditEntry { at, user, username, role, action, path, address, status, node } = &entry;
        let sql = sql!(
            "INSERT INTO audit_log (at, user_id, username, role, action, path, address, status, \
             node) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        );
        let values = values![*at, *user, username, role, action, path, address, *status, node];
        self.write(Change::new(sql, values)).await.map(drop)
    }

    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError> {
        let Done::Changed(count) = self.writer.write(Write::RenewWords(limit)).await? else {
            return Err(mismatch());
        };
        Ok(count)
    }

    fn ids(&self) -> NewIds {
        NewIds::Sqlite(Arc::clone(&self.ids))
    }

    async fn database_id(&self) -> Result<String, StoreError> {
        nodes::database_id()
    }
}
