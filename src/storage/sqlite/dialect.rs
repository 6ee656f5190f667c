//! How the engine reads and writes here: by threads that read, and by the writer.

use std::sync::Arc;
use std::time::Duration;

use bellpull_port::StoreError;

use super::writer::{Done, Write, mismatch};
use super::{Sqlite, nodes};
use crate::engine::{
    Dialect, NewIds, Operation, READ_MAX, ReadRows, Reads, Row, Sql, Statement, Value, take,
};

/// How long a short read may take: it ends before its request does.
const SHORT_READ_MAX: Duration = Duration::from_secs(15);

impl Dialect for Sqlite {
    async fn read<O: Operation>(
        &self,
        reads: Reads,
        operation: O,
    ) -> Result<O::Answer, StoreError> {
        let (readers, read_max) = match reads {
            Reads::Short => (&self.short_reads, SHORT_READ_MAX),
            Reads::Lists => (&self.lists, READ_MAX),
            Reads::Searches => (&self.word_searches, READ_MAX),
        };
        take::<O>(readers.read(Box::new(operation), read_max).await?)
    }

    fn rows<T: Send + 'static>(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
        decode: fn(&Row) -> Result<T, StoreError>,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send {
        self.read(Reads::Short, ReadRows { statement: Statement::new(sql, values), decode })
    }

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        let write = Write::Operation(Box::new(operation));
        let Done::Operation(answer) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        take::<O>(answer)
    }

    fn ids(&self) -> NewIds {
        NewIds::Sqlite(Arc::clone(&self.ids))
    }

    async fn database_id(&self) -> Result<String, StoreError> {
        nodes::database_id()
    }
}
