//! The store port of reports: how many notifications were sent, delivered and read.

use async_trait::async_trait;

use super::StoreError;
pub use bellpull_domain::plan::report::{REPORT_ROWS_MAX, ReportFilter, ReportRow};

/// Reports. They read much: one at a time, for a limited time, beside everything else.
#[async_trait]
pub trait ReportStore: std::fmt::Debug + Send + Sync + 'static {
    /// The figures of the notifications of a range of time, by event and channel, sorted by both.
    /// Times are exact to a second within ten minutes, to a minute within ten hours, and to an hour
    /// beyond. `None` if it is too much: more than [`REPORT_ROWS_MAX`] rows, or longer to read than
    /// the store allows.
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError>;
}
