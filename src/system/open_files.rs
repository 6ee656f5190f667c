//! The limit on open files: each connection is one.

/// Files beside clients' connections: the database, connections to providers, the log, the runtime.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one and returns it.
pub fn raise_limit() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit on open files could not be raised");
        rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft)
    })
}

/// Warns if the limit is too low for that many connections: beyond it no client can connect, and
/// providers cannot be reached either.
pub fn check_limit(files: u64, connections_max: usize) {
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if files < wanted {
        tracing::warn!(
            files,
            "ws.max_connections" = connections_max,
            "the process may open fewer files than it may take connections: raise the hard limit \
             (LimitNOFILE=, ulimit -n), or lower ws.max_connections"
        );
    }
}
