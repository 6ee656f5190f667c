//! Counts committed groups of writes.

use std::time::Duration;

/// A group of so many writes was committed, and took this long from its beginning.
pub(super) fn committed(writes: usize, took: Duration) {
    let writes = u64::try_from(writes).unwrap_or(u64::MAX);
    metrics::counter!("bellpull_commits_total").increment(1);
    metrics::counter!("bellpull_commit_writes_total").increment(writes);
    metrics::histogram!("bellpull_commit_seconds").record(took.as_secs_f64());
}
