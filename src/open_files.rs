//! How many files the process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a hub has open beside its clients' connections: the database's, those to providers, the
/// log, the runtime's own.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one; what it is then.
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

/// As many connections as a hub can take by the limit once that is raised.
pub(crate) fn connections_max() -> u64 {
    raise_limit().saturating_sub(OTHERS).max(1)
}

/// Warns where the limit is too low for so many connections: past it nobody can connect, and
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
