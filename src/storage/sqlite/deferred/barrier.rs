//! What those wait for who list an inbox: that it is whole in its tables.

use std::sync::Arc;

use bellpull_actors::domain::ids::{NotificationId, UserId};
use bellpull_actors::port::StoreError;

use super::super::writer::{Write, WriterHandle};
use super::Deferred;

/// Has inboxes settled before they are read.
#[derive(Debug, Clone)]
pub(in super::super) struct Barrier {
    deferred: Arc<Deferred>,
    writer: WriterHandle,
}

impl Barrier {
    /// In front of these.
    pub(in super::super) fn new(deferred: &Arc<Deferred>, writer: &WriterHandle) -> Self {
        Self { deferred: Arc::clone(deferred), writer: writer.clone() }
    }

    /// Until what was acknowledged to be in this inbox is in its rows.
    pub(in super::super) async fn inbox(&self, user: UserId) -> Result<(), StoreError> {
        match self.deferred.holds(user) {
            true => self.settle(vec![vec![user]]).await,
            false => Ok(()),
        }
    }

    /// The same for all.
    pub(in super::super) async fn everybody(&self) -> Result<(), StoreError> {
        self.settle(self.deferred.everybody()).await
    }

    /// The same for the inbox that this notification is in.
    pub(in super::super) async fn notification(
        &self,
        id: NotificationId,
    ) -> Result<(), StoreError> {
        match self.deferred.owner(id) {
            Some(user) => self.settle(vec![vec![user]]).await,
            None => Ok(()),
        }
    }

    async fn settle(&self, portions: Vec<Vec<UserId>>) -> Result<(), StoreError> {
        for users in portions {
            self.writer.write(Write::Settle(users)).await?;
        }
        Ok(())
    }
}
