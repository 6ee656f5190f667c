//! The advisory locks: every one is named here, by its class and the key within it.
//!
//! They are locks of the transaction, for where there is no row to lock. Two numbers name one:
//! those of other programs on the server, and of the migrations, are single numbers, so none of
//! ours is one of theirs. Keys that are hashed may be equal: then one waits for the other.

/// The number of a class.
macro_rules! class {
    // A channel's leases, by the channel's name.
    (leases) => {
        "730581"
    };
    // What a provider calls a message, by one of 64 sets of such names.
    (provider_ids) => {
        "730582"
    };
    // A node's turn to write.
    (turn) => {
        "730583"
    };
    // The names of accounts.
    (account_names) => {
        "730584"
    };
    // The begin of an epoch.
    (epoch) => {
        "730588"
    };
    // A node that registers, by its name.
    (node) => {
        "730585"
    };
    // A browser that subscribes, by its address at the push service.
    (browser) => {
        "730586"
    };
    // A send's idempotency key.
    (idempotency_key) => {
        "730587"
    };
}

/// The call that takes the lock until the end of the transaction.
macro_rules! lock {
    ($class:ident, $key:literal) => {
        concat!("pg_advisory_xact_lock(", class!($class), ", ", $key, ")")
    };
}

/// The same for readers, who exclude writers alone.
macro_rules! lock_shared {
    ($class:ident, $key:literal) => {
        concat!("pg_advisory_xact_lock_shared(", class!($class), ", ", $key, ")")
    };
}

pub(super) use lock_shared;
pub(in super::super) use {class, lock};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Read from this file itself, so that no class can be forgotten.
    #[test]
    fn no_two_classes_have_one_number() {
        let numbers: Vec<&str> = include_str!("locks.rs")
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("\"73") && line.ends_with('"'))
            .collect();
        let different: BTreeSet<&str> = numbers.iter().copied().collect();
        assert!(numbers.len() >= 7, "{numbers:?}");
        assert_eq!(different.len(), numbers.len(), "{numbers:?}");
    }

    #[test]
    fn all_advisory_locks_are_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres");
        let mut others = Vec::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("locks.rs")
                    && std::fs::read_to_string(&path).unwrap().contains("pg_advisory")
                {
                    others.push(path);
                }
            }
        }
        assert!(others.is_empty(), "{others:?}");
    }
}
