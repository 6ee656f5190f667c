//! Changes outside the groups, each in a transaction of its own.

use std::time::Duration;

use bellpull_port::StoreError;
use tokio::time::{Instant, sleep};

use super::database::Database;
use super::transaction::{begin, is_broken, is_transient};
use crate::engine::{Db, Failure, Operation, SqlError};

/// How often one is tried that meets another one's locks.
const TRIES: u32 = 5;
/// How long one is begun again over other connections.
const TRIED_FOR: Duration = Duration::from_secs(5);
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(50);

/// Carries out a change; tried again where nothing was written.
pub(super) async fn write<O: Operation>(
    database: &Database,
    operation: &O,
) -> Result<O::Answer, StoreError> {
    let until = Instant::now() + TRIED_FOR;
    let mut tries = 0;
    loop {
        let error = match once(database, operation).await {
            Err(Failure::Sql(SqlError::Postgres(error))) => error,
            done => return Ok(done?),
        };
        tries += 1;
        if is_broken(&error) && Instant::now() < until {
            tracing::warn!(%error, "the connection broke: a change is made again");
            sleep(PAUSE).await;
        } else if !is_transient(&error) || tries >= TRIES {
            return Err(super::failed(error));
        }
    }
}

/// From `BEGIN` to `COMMIT`, or to a rollback. A commit that failed is no [`Failure::Sql`]: it is
/// not tried again.
async fn once<O: Operation>(database: &Database, operation: &O) -> Result<O::Answer, Failure> {
    let mut work = begin(database).await.map_err(SqlError::Postgres)?;
    match operation.run(&mut Db::Postgres(&mut work)).await {
        Ok(answer) => {
            work.commit().await?;
            Ok(answer)
        }
        Err(failure) => {
            work.roll_back().await;
            Err(failure)
        }
    }
}
