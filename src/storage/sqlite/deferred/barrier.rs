//! The barrier for reads that list an inbox: they wait until all its rows are in the tables.

use std::sync::Arc;

use bellpull_domain::ids::{NotificationId, UserId};
use bellpull_port::StoreError;

use super::super::writer::{Write, WriterHandle};
use super::Deferred;

/// Writes the deferred entries of inboxes before these are read.
#[derive(Debug, Clone)]
pub(in super::super) struct Barrier {
    deferred: Arc<Deferred>,
    writer: WriterHandle,
}

impl Barrier {
    /// Holds back reads of the inboxes in this table.
    pub(in super::super) fn new(deferred: &Arc<Deferred>, writer: &WriterHandle) -> Self {
        Self { deferred: Arc::clone(deferred), writer: writer.clone() }
    }

    /// Waits until everything acknowledged for this inbox is in its rows.
    pub(in super::super) async fn inbox(&self, user: UserId) -> Result<(), StoreError> {
        match self.deferred.holds(user) {
            true => self.flush(vec![vec![user]]).await,
            false => Ok(()),
        }
    }

    /// The same for all inboxes.
    pub(in super::super) async fn all_users(&self) -> Result<(), StoreError> {
        self.flush(self.deferred.all_users()).await
    }

    /// The same for the inbox of this notification.
    pub(in super::super) async fn notification(
        &self,
        id: NotificationId,
    ) -> Result<(), StoreError> {
        match self.deferred.owner(id) {
            Some(user) => self.flush(vec![vec![user]]).await,
            None => Ok(()),
        }
    }

    async fn flush(&self, portions: Vec<Vec<UserId>>) -> Result<(), StoreError> {
        for users in portions {
            self.writer.write(Write::Flush(users)).await?;
        }
        Ok(())
    }
}
