//! The limit on open files: each socket is one.

/// Files of a hub beside its clients' connections: the database, the log, the runtime.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one and returns it; `u64::MAX` if the system does not tell.
pub(crate) fn raise_limit() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX)
}

/// How many connections of a hub the hard limit allows.
pub(crate) fn connections_max() -> u64 {
    raise_limit().saturating_sub(OTHERS).max(1)
}
