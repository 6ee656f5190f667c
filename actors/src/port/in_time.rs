//! The limit of time of every call to a store.

use std::time::Duration;

use super::StoreError;

/// The time limit of a store; its own limit is 5 s, this is for one that keeps none.
const STORE_MAX: Duration = Duration::from_secs(8);

/// Does it within [`STORE_MAX`].
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable("it did not answer in time".to_owned());
    tokio::time::timeout(STORE_MAX, work).await.map_err(late)?
}
