//! Reports: the messages of a range of time, by its index, then the rows that they have. Where
//! those are found, each database's own module says.
//!
//! The domain computes the sums ([`ReportSums`](bellpull_domain::plan::report::ReportSums)).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bellpull_domain::plan::report::TooMuch;
use bellpull_port::analytics::{ReportFilter, ReportRow};
use bellpull_port::{ReportStore, StoreError};

use crate::engine::{Db, Deferred, Dialect, Engine, Failure, Operation, Reads};
use crate::error::unavailable;
use crate::{postgres, sqlite};

/// How long a report may read.
const READ_MAX: Duration = Duration::from_secs(10);
/// Its total time limit, waits included: less than a request's 15 s.
const ALL_MAX: Duration = Duration::from_secs(14);
/// How long one waits for the report before it.
const TURN_MAX: Duration = Duration::from_secs(3);

#[async_trait]
impl<D: Dialect> ReportStore for Engine<D> {
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError> {
        let began = Instant::now();
        let late = |_| StoreError::Unavailable("other reports take too long".to_owned());
        let _turn = tokio::time::timeout(TURN_MAX, self.reports().lock()).await.map_err(late)?;
        self.settle(Deferred::All).await?;
        let read_max = READ_MAX.min(ALL_MAX.saturating_sub(began.elapsed()));
        let report = Report { filter, deadline: Instant::now() + read_max };
        match self.read(Reads::Within(read_max), report).await {
            Err(StoreError::TooSlow) => Ok(None),
            read => read,
        }
    }
}

/// A report that ends at its deadline.
struct Report {
    filter: ReportFilter,
    deadline: Instant,
}

impl Operation for Report {
    type Answer = Option<Vec<ReportRow>>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<Vec<ReportRow>>, Failure> {
        let Self { filter, deadline } = self;
        let read = match db {
            Db::Sqlite(_) => sqlite::report(db, filter, *deadline).await,
            Db::Postgres(connection) => postgres::report(connection, filter, *deadline).await,
            Db::Pool(_) => return Err(unavailable("a report reads one state").into()),
        };
        match read {
            Err(Stop::TooMuch) => Ok(None),
            Err(Stop::Failed(failure)) => Err(failure),
            Ok(rows) => Ok(rows),
        }
    }
}

/// Why a report was not finished.
pub(in super::super) enum Stop {
    TooMuch,
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// Ends a report with more kinds of rows than it may have.
pub(in super::super) fn stop(_: TooMuch) -> Stop {
    Stop::TooMuch
}

/// Ends a report at its deadline.
pub(in super::super) fn check(deadline: Instant) -> Result<(), Stop> {
    if Instant::now() >= deadline { Err(Stop::TooMuch) } else { Ok(()) }
}
