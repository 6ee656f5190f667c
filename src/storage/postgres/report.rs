//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::plan::report::{REPORT_ROWS_MAX, ReportFilter, ReportRow};
use bellpull_actors::port::ReportStore;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::analytics::*;

#[async_trait]
impl ReportStore for PostgresStore {
    async fn report(&self, filter: ReportFilter) -> Result<Option<Vec<ReportRow>>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
