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

#[cfg(test)]
mod tests {
    use bellpull_port::AccountStore;
    use futures_util::future::join_all;

    use super::super::{SqliteStore, StoreOptions};
    use super::*;
    use crate::engine::{Db, Failure};

    /// Writes a setting, and fails after it: by itself, or by a constraint.
    struct Half {
        fails_by_constraint: bool,
    }

    impl Operation for Half {
        type Answer = ();

        async fn run(&self, db: &mut Db<'_>) -> Result<(), Failure> {
            let sql = sql!("INSERT INTO settings (name, value) VALUES ('half', '')");
            db.execute(sql, &[]).await?;
            if self.fails_by_constraint {
                let sql = sql!("INSERT INTO project_members (project_id, user_id) VALUES (1, 99)");
                db.execute(sql, &[]).await?;
            }
            Err(StoreError::Conflict.into())
        }
    }

    #[tokio::test]
    async fn a_change_that_fails_leaves_nothing_and_takes_none_of_its_group_along() {
        let store = SqliteStore::open("sqlite::memory:", StoreOptions::default()).await.unwrap();
        let names: Vec<String> = (0..64).map(|n| format!("whole{n}")).collect();
        let whole = join_all(names.iter().map(|name| store.set_setting(name, "")));
        let half = [false, true].map(|fails_by_constraint| Half { fails_by_constraint });
        let half = join_all(half.into_iter().map(|half| store.write(half)));
        let (whole, half) = tokio::join!(whole, half);
        assert!(whole.iter().all(Result::is_ok), "{whole:?}");
        assert_eq!(half, [Err(StoreError::Conflict), Err(StoreError::NotFound)]);
        assert_eq!(store.setting("half").await, Ok(None));
        for name in &names {
            assert_eq!(store.setting(name).await, Ok(Some(String::new())), "{name}");
        }
        store.close().await;
    }
}
