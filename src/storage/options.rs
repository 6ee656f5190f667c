//! The options of both stores.

use std::time::Duration;

use bellpull_domain::routing::Channels;
use bellpull_port::slow::SlowLog;

/// The options of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The enabled channels: deliveries are written for these only.
    pub channels: Channels,
    /// Whether e-mails are sent to verified addresses only; those about the account itself always
    /// are sent.
    pub verify_email: bool,
    /// The most connections to PostgreSQL. SQLite has a few, whatever this says.
    pub connections: u32,
    /// How long a PostgreSQL that does not accept connections yet is waited for.
    pub wait: Duration,
    /// SQLite: the file grows to this many pages (of 4 KiB) and no further; `None` leaves SQLite's
    /// limit.
    pub max_page_count: Option<u32>,
    /// Whether the database is created if it does not exist. PostgreSQL's must exist: only its
    /// schema is created.
    pub create: bool,
    /// Whether this process is a hub, not a command beside one. On SQLite a second hub on the same
    /// file is rejected.
    pub exclusive: bool,
    /// SQLite: the inbox rows of announcements with this many recipients and more may be written
    /// later; what is acknowledged is on the disk all the same. For a hub only.
    pub defer_from: usize,
    /// SQLite: how many such rows may be outstanding, in at most an eighth as many inboxes; each
    /// takes some 40 bytes.
    pub deferred_max: usize,
    /// SQLite: a hub checks a file of at most this many bytes for damage when it opens it; 0:
    /// never.
    pub check_max_bytes: u64,
    /// Where slow commits are logged.
    pub slow: SlowLog,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            channels: Channels::default(),
            verify_email: false,
            connections: CONNECTIONS,
            wait: Duration::ZERO,
            max_page_count: None,
            create: true,
            exclusive: false,
            defer_from: DEFER_FROM,
            deferred_max: DEFERRED_MAX,
            check_max_bytes: 0,
            slow: SlowLog::default(),
        }
    }
}

/// With fewer recipients the rows cost hardly more than the list of them.
const DEFER_FROM: usize = 32;
/// Ten broadcasts to a hundred thousand: some 40 MiB.
const DEFERRED_MAX: usize = 1 << 20;
/// Half of them write at once at most; a server has 100 by default, for all nodes.
const CONNECTIONS: u32 = 16;
