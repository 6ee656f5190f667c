//! The store of a single process: SQLite in a file, within the process.
//!
//! In reading order: [`options`] (where the file is), [`migrations`], [`found`] (what is there
//! already), [`file`] (its owner and permissions), [`identity`] (one path, and the same file all
//! the time), [`given`] (the positions that were given out), [`integrity`] and
//! [`log_damage`] (damage), [`lock`] (one
//! hub on one file), [`writer`] (every write, in groups) with [`health`] (whether the last one
//! succeeded); the ports' reads: [`ticket_lists`], [`sends`], [`inbox`] with
//! [`heads`], [`accounts`] with [`name_keys`], [`deliveries`],
//! [`report`] with [`report_ranges`]; [`dialect`] (how the ports that are the same for both stores
//! read and write here), [`nodes`]; [`backup`]s; and what they share: [`joined`] reads,
//! [`readers`], [`deferred`] entries, [`rows`],
//! [`webhook_rows`], [`contents`], [`lanes`], [`statement`],
//! [`multi_row`], [`ids`], [`supervised`] tasks, [`error`].
//!
//! SQLite runs in the threads of its connections: one that writes and some that read. Callers wait
//! for their answers without a thread.

mod accounts;
pub mod backup;
mod columns;
mod deferred;
mod deliveries;
mod dialect;
mod epoch;
mod error;
mod file;
mod found;
mod given;
mod heads;
mod identity;
mod ids;
mod inbox;
mod integrity;
mod lanes;
mod lock;
mod log_damage;
mod messages;
mod migrations;
mod multi_row;
mod name_keys;
mod nodes;
mod options;
mod readers;
mod report;
mod report_ranges;
mod sends;
mod statement;
mod ticket_lists;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::inbox::Head;
use bellpull_domain::routing::Channels;
use bellpull_domain::search::SEARCHES_AT_ONCE;
use bellpull_domain::user::User;
use bellpull_port::epoch::Epoch;
use bellpull_port::turns::Turns;
use bellpull_port::{Store, StoreError, StoreSize};
use tempfile::TempDir;

pub use found::{Found, found};
pub use integrity::inspect;
pub use options::OpenError;

pub use super::StoreOptions;

use super::{
    attempts, contents, health, joined, leases, provider_reports, requests, rows, supervised,
};
use crate::engine::{Dialect, Engine, sql};
use contents::ContentCache;
use deferred::{Barrier, Deferred, Flusher};
pub(super) use error::of_request;
use error::unavailable;
use given::Recorder;
use health::Health;
use identity::{FileWatch, OpenFiles};
pub(super) use ids::{Counter, Ids};
use joined::Joined;
use lock::{HubLock, Traces};
pub(super) use migrations::own_schema;
use options::{BoxError, Place, place};
use readers::{Kind, Readers};
pub(super) use report::report;
pub(super) use ticket_lists::list_tickets;
use writer::{Audiences, Write, Writer, WriterHandle};

/// Connections for reads that are short whatever the size of the data; slow ones have others, see
/// [`readers`]. No read waits for the writer.
const READERS: u32 = 4;
/// Connections for lists and reports. One may be busy for as long as a report takes, so there is
/// another; more would only take CPU from other work on a small machine.
const SLOW_READERS: u32 = 2;
/// Reads of one long inbox that may wait for the one before: its user's other sessions.
const LONG_INBOXES_WAITING_MAX: usize = 4;
/// How long one waits. With the wait for a connection and the read, less than a request may take.
const LONG_INBOX_WAIT_MAX: Duration = Duration::from_secs(5);

/// Tickets, inboxes and accounts in one SQLite file.
pub type SqliteStore = Engine<Sqlite>;

/// What the store has of its own.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    short_reads: Arc<Readers>,
    lists: Readers,
    /// Searches have connections of their own.
    searches: Readers,
    /// Limits concurrent reads of long inboxes.
    long_inboxes: Turns<UserId>,
    writer: WriterHandle,
    health: Health,
    /// Accounts and heads, which come in bursts: as many connections would keep the same pages.
    crowds: Arc<Readers>,
    heads: Joined<UserId, Head>,
    users: Joined<UserId, User>,
    contents: Arc<ContentCache>,
    ids: Arc<Ids>,
    /// The enabled channels: deliveries are written for these.
    channels: Channels,
    epoch: Epoch,
    deferred: Arc<Deferred>,
    /// Writes deferred entries before inboxes are listed.
    barrier: Barrier,
    _flusher: Option<Flusher>,
    /// Whether this is the hub's, which has the file for itself.
    is_hubs: bool,
    lock: Mutex<Option<HubLock>>,
    /// The hub's open files; a temporary database has no name that matters.
    files: Option<Arc<OpenFiles>>,
    watch: Mutex<Option<FileWatch>>,
    /// One report at a time.
    reports: tokio::sync::Mutex<()>,
    /// The directory of a temporary database, removed with the store.
    _temporary: Option<TempDir>,
}

impl SqliteStore {
    /// Opens the database at `url` (`sqlite://PATH`, or `sqlite::memory:` for one that is removed
    /// with the store), creates it if it does not exist, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`], with a text for the operator.
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self, OpenError> {
        let (path, temporary) = match place(url)? {
            Place::File(path) => {
                let path = identity::resolve(&path, options.create)?;
                let traces = found::look(&path, !options.exclusive)?;
                let had_hub = traces == Traces::Left || given::path_of(&path).exists();
                if had_hub && !path.exists() {
                    tracing::warn!(
                        path = %path.display(),
                        "a hub has run here, and its database is not there any more: a new, empty \
                         one is made"
                    );
                }
                // A hub has its own log before its eyes.
                if traces != Traces::Running {
                    given::check_log(&path)?;
                }
                if !options.exclusive && traces != Traces::Running {
                    log_damage::check(&path)?;
                }
                (path, None)
            }
            Place::Temporary => {
                let io = |source| OpenError::Io { path: std::env::temp_dir(), source };
                let directory =
                    tempfile::Builder::new().prefix("bellpull-").tempdir().map_err(io)?;
                (directory.path().join("bellpull.db"), Some(directory))
            }
        };
        file::prepare(&path)?;
        let watched = options.exclusive && temporary.is_none();
        let watched = watched.then(|| given::epoch_in_file(&path));
        let lock = if options.exclusive { Some(HubLock::take(&path)?) } else { None };
        match Self::open_at(&path, watched, options).await {
            Ok(store) => {
                Ok(Engine(Sqlite { lock: Mutex::new(lock), _temporary: temporary, ..store }))
            }
            Err(error) => {
                lock.into_iter().for_each(HubLock::release);
                Err(error)
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one order of steps; each depends on those before")]
    /// `watched` has the epoch in the file, if its files are watched.
    async fn open_at(
        path: &Path,
        watched: Option<Option<String>>,
        options: StoreOptions,
    ) -> Result<Sqlite, OpenError> {
        let path = path.to_owned();
        if options.exclusive {
            let (file, bytes_max) = (path.clone(), options.check_max_bytes);
            let look = move || match bytes_max {
                0 => log_damage::accept(&file),
                // The log first: SQLite drops what follows the damage when it is opened.
                _ => {
                    log_damage::check(&file).and_then(|()| file::look_for_damage(&file, bytes_max))
                }
            };
            let looking = tokio::task::spawn_blocking(look);
            looking.await.map_err(|error| OpenError::database(&path, error))??;
        }
        // Open until the writer is: the last connection that closes checkpoints the log.
        let file = path.clone();
        let preparing =
            tokio::task::spawn_blocking(move || migrations::prepare(&file, options.exclusive));
        let prepared = preparing.await.map_err(|error| OpenError::database(&path, error))??;
        let (ids, contents) = (Arc::new(Ids::default()), Arc::new(ContentCache::new()));
        let health = Health::default();
        let files = watched.is_some().then(|| OpenFiles::of(&path)).transpose();
        let files = files.map_err(|source| OpenError::io(&path, source))?.map(Arc::new);
        let defer_from = options.exclusive.then_some(options.defer_from);
        let deferred = Arc::new(Deferred::new(defer_from, options.deferred_max));
        let writer = WriterHandle::start(Writer {
            file: path.clone(),
            max_page_count: options.max_page_count,
            is_hubs: options.exclusive,
            channels: options.channels,
            verify_email: options.verify_email,
            ids: Arc::clone(&ids),
            contents: Arc::clone(&contents),
            audiences: Audiences::new(),
            deferred: Arc::clone(&deferred),
            files: files.clone(),
            health: health.clone(),
            slow: options.slow.clone(),
            times: None,
            connection: None,
            log_keeper: None,
            seen: None,
            changes: None,
        })
        .await
        .map_err(|error| OpenError::database(&path, error))?;
        drop(prepared);
        let mut watch = None;
        if let Some(files) = &files {
            let recorder = Recorder::open(&path, watched.flatten(), &deferred);
            let recorder = recorder.map_err(|error| OpenError::database(&path, error))?;
            renew_if_lost(&path, &writer).await.map_err(|e| OpenError::database(&path, e))?;
            let started = FileWatch::start(Arc::clone(files), recorder);
            watch = Some(started.map_err(|source| OpenError::io(&path, source))?);
        }
        let flusher =
            options.exclusive.then(|| Flusher::start(Arc::clone(&deferred), writer.clone()));
        let barrier = Barrier::new(&deferred, &writer);
        let crowds = Arc::new(Readers::new(&path, Kind::Short, 1));
        let (heads, users) = join(&crowds, &deferred);
        let short_reads = Arc::new(Readers::new(&path, Kind::Short, READERS));
        let lists = Readers::new(&path, Kind::Slow, SLOW_READERS);
        let searches_at_once = u32::try_from(SEARCHES_AT_ONCE).unwrap_or(u32::MAX);
        let searches = Readers::new(&path, Kind::Slow, searches_at_once);
        let long_inboxes = Turns::new(LONG_INBOXES_WAITING_MAX, LONG_INBOX_WAIT_MAX);
        Ok(Sqlite {
            path,
            short_reads,
            lists,
            searches,
            long_inboxes,
            writer,
            health,
            crowds,
            heads,
            users,
            contents,
            ids,
            channels: options.channels,
            epoch: Epoch::default(),
            deferred,
            barrier,
            _flusher: flusher,
            is_hubs: options.exclusive,
            lock: Mutex::default(),
            watch: Mutex::new(watch),
            files,
            reports: tokio::sync::Mutex::default(),
            _temporary: None,
        })
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes everything queued, checkpoints the log into the file, and closes it. Later calls are
    /// rejected; closing twice has no further effect.
    pub async fn close(&self) {
        // The readers first: the log cannot be emptied while a reader uses it.
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It waits for its thread. One that panicked has logged it.
        let _ = tokio::task::spawn_blocking(move || drop(watch)).await;
        self.short_reads.close().await;
        self.lists.close().await;
        self.searches.close().await;
        self.crowds.close().await;
        self.writer.close().await;
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        lock.into_iter().for_each(HubLock::release);
    }

    /// Lets the file grow to `pages` (of 4 KiB) and no further; a full file rejects writes until
    /// the limit is raised. It cannot be set below the file's size.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.writer.write(Write::LimitPages(pages)).await.map(drop)
    }

    /// Whether a reader answers within five seconds, and the last write succeeded. If that was too
    /// long ago, a probe is written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn answers(&self) -> Result<(), StoreError> {
        if let Some(files) = &self.files {
            files.look().map_err(unavailable)?;
        }
        let late = |_| StoreError::Unavailable("no answer in time".to_owned());
        let patience = Duration::from_secs(5);
        let read = self.row(sql!("SELECT count(*) AS count FROM counters"), &[], |_| Ok(()));
        tokio::time::timeout(patience, read).await.map_err(late)??;
        match self.health.recent() {
            Some(true) => Ok(()),
            Some(false) => Err(StoreError::Unavailable("the last write failed".to_owned())),
            None => {
                let write = self.writer.write(Write::Probe);
                tokio::time::timeout(patience, write).await.map_err(late)?.map(drop)
            }
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn answers(&self) -> Result<(), StoreError> {
        Self::answers(self).await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        let of = |path: &Path| std::fs::metadata(path).map(|file| file.len());
        let database = of(&self.path).map_err(|e| StoreError::Unavailable(e.to_string()))?;
        // It exists while the database is open.
        let log = of(&file::beside(&self.path, "-wal")).unwrap_or(0);
        Ok(StoreSize { database, log })
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

/// Begins a new epoch if the file has less than was given out by this name.
async fn renew_if_lost(path: &Path, writer: &WriterHandle) -> Result<(), BoxError> {
    if let Some(known) = given::lost(path)? {
        writer.write(Write::RenewEpoch(epoch::new_name()?, known)).await?;
    }
    Ok(())
}

/// Joined reads of heads and accounts.
fn join(
    crowds: &Arc<Readers>,
    deferred: &Arc<Deferred>,
) -> (Joined<UserId, Head>, Joined<UserId, User>) {
    let (reads, waiting) = (Arc::clone(crowds), Arc::clone(deferred));
    let heads =
        Joined::start(move |users| heads::read(Arc::clone(&reads), Arc::clone(&waiting), users));
    let reads = Arc::clone(crowds);
    let users = Joined::start(move |users| accounts::read(Arc::clone(&reads), users));
    (heads, users)
}
