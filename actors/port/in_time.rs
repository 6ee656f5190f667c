//! The limit of time of every call to a store.

use std::time::Duration;

use super::StoreError;

/// How long a store is waited for. The store's own limits are below it: what it writes, it answers
/// while its caller still waits.
pub const STORE_MAX: Duration = Duration::from_secs(8);

/// Does it within [`STORE_MAX`].
///
/// # Errors
/// Its own; [`StoreError::Unavailable`] if it did not answer in time.
pub async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable("it did not answer in time".to_owned());
    tokio::time::timeout(STORE_MAX, work).await.map_err(late)?
}
