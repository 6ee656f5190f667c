//! The limit on open files: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside clients' connections: the database, connections to providers, the log, the runtime.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one and returns it.
pub(crate) fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections the hard limit allows.
pub(crate) fn connections_max() -> u64 {
    raise_limit().saturating_sub(OTHERS).max(1)
}

/// Warns if the limit is too low for that many connections: beyond it no client can connect, and
/// providers cannot be reached either.
pub(crate) fn check_limit(files: u64, connections_max: usize) {
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
