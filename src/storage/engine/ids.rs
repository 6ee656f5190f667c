//! New ids of what is numbered before it is written.

use std::sync::Arc;

use bellpull_domain::ids::{DeliveryId, MessageId};

use super::{Db, Failure, SqlError};
use crate::error::corrupt;
use crate::postgres::BlockIds;
use crate::postgres::Sequence;
use crate::sqlite::Counter;
use crate::sqlite::Ids;

/// Gives them out, within a change.
#[derive(Debug, Clone)]
pub(in super::super) enum NewIds {
    /// SQLite's writer knows the last ones.
    Sqlite(Arc<Ids>),
    /// PostgreSQL has blocks of them.
    Postgres(Arc<BlockIds>),
}

impl NewIds {
    /// The next message's.
    pub(in super::super) async fn message(&self, db: &mut Db<'_>) -> Result<MessageId, Failure> {
        let (counter, sequence) = (Counter::Messages, Sequence::Messages);
        self.next(db, counter, sequence).await.map(MessageId)
    }

    /// The next delivery's.
    pub(in super::super) async fn delivery(&self, db: &mut Db<'_>) -> Result<DeliveryId, Failure> {
        let (counter, sequence) = (Counter::Deliveries, Sequence::Deliveries);
        self.next(db, counter, sequence).await.map(DeliveryId)
    }

    async fn next(
        &self,
        db: &mut Db<'_>,
        counter: Counter,
        sequence: Sequence,
    ) -> Result<i64, Failure> {
        let ids = match self {
            Self::Sqlite(ids) => return Ok(ids.next(counter)),
            Self::Postgres(ids) => ids,
        };
        if let Some(id) = ids.take(sequence) {
            return Ok(id);
        }
        if let Db::Postgres(connection) = db {
            ids.reserve(connection, sequence, 1).await.map_err(SqlError::Postgres)?;
        }
        Ok(ids.take(sequence).ok_or_else(|| corrupt("sequence"))?)
    }
}
