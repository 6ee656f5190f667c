//! Servers that are started for a run: a hub of our own on a database of its own, and processes
//! of this tool.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;

use bellpull_actors::domain::user::Role;
use bellpull_actors::port::AccountStore;
use bellpull_actors::port::accounts::NewUser;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tempfile::TempDir;

use super::LoadError;
use super::children::Owned;
use super::plan::Place;
use super::tokens::{People, Roster, person};
use crate::storage::sqlite::{SqliteStore, StoreOptions};

/// A secret is of so many bytes.
const SECRET_BYTES: usize = 32;
/// Accounts are made in batches by themselves; so many are waited for at once.
const AT_ONCE: usize = 256;

/// The setting of a hub's connections, and its default.
const CONNECTIONS_MAX: &str = "BELLPULL_WS_MAX_CONNECTIONS";
const CONNECTIONS_USUAL: u64 = 100_000;

/// A server that ends with whoever started it.
#[derive(Debug)]
pub struct Spawned {
    child: Owned,
    /// Gone with the process.
    _folder: Option<TempDir>,
}

impl Spawned {
    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// This program.
///
/// # Errors
/// Its file is gone.
pub fn own_binary() -> Result<PathBuf, LoadError> {
    std::env::current_exe()
        .map_err(|error| LoadError::Failed(format!("this program's own file: {error}")))
}

/// Starts a hub with accounts of this roster.
///
/// # Errors
/// See the text: its database, or what the hub said.
pub async fn hub(
    binary: Option<&Path>,
    roster: &Roster,
) -> Result<(Spawned, Place, People), LoadError> {
    let binary = binary.map_or_else(own_binary, |binary| Ok(binary.to_owned()))?;
    let folder = tempfile::tempdir()
        .map_err(|error| LoadError::Failed(format!("a temporary folder: {error}")))?;
    let database = format!("sqlite://{}", folder.path().join("load.db").display());
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|error| LoadError::Failed(error.to_string()))?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let people = accounts(&database, &secret, roster).await?;
    let mut command = Command::new(&binary);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--database", &database])
        .env("BELLPULL_JWT_SECRET", &secret)
        // All users come from a few addresses here.
        .env("BELLPULL_WS_HANDSHAKES_PER_S", "0")
        // And a few accounts write as fast as the hub takes it: that is what is measured.
        .env("BELLPULL_HTTP_WRITES_PER_S", "0")
        .current_dir(folder.path()); // no bellpull.toml of anybody's
    if std::env::var_os(CONNECTIONS_MAX).is_none() {
        // No more than there can be: a hub warns of a limit that is above.
        let most = crate::open_files::connections_max().min(CONNECTIONS_USUAL);
        command.env(CONNECTIONS_MAX, most.to_string());
    }
    if std::env::var_os("BELLPULL_LOG_FILTER").is_none() {
        command.env("BELLPULL_LOG_FILTER", "warn");
    }
    let (child, place, _) = start(&mut command, &binary)?;
    Ok((Spawned { child, _folder: Some(folder) }, place, people))
}

/// Starts the bare loop.
///
/// # Errors
/// It does not start.
pub fn bare() -> Result<(Spawned, Place), LoadError> {
    let binary = own_binary()?;
    let mut command = Command::new(&binary);
    // It ends with its input, which is ours.
    command.args(["load", "bare-loop"]).stdin(Stdio::piped());
    let (child, place, _) = start(&mut command, &binary)?;
    Ok((Spawned { child, _folder: None }, place))
}

/// Starts a server and reads its first line, which says where it is.
fn start(
    command: &mut Command,
    binary: &Path,
) -> Result<(Owned, Place, BufReader<ChildStdout>), LoadError> {
    let failed = |error: &dyn std::fmt::Display| {
        LoadError::Failed(format!("--spawn: {}: {error}", binary.display()))
    };
    let mut child = Owned::start(command.stdout(Stdio::piped())).map_err(|error| failed(&error))?;
    let Some(stdout) = child.stdout.take() else { return Err(failed(&"no output")) };
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    let read = lines.read_line(&mut line).map_err(|error| failed(&error));
    let url = line.trim().strip_prefix("listening on ");
    let place = url.ok_or_else(|| failed(&"it did not start")).and_then(Place::parse);
    Ok((child, read.and(place)?, lines))
}

/// Makes accounts straight in the store: hashing passwords is not what is measured.
async fn accounts(database: &str, secret: &str, roster: &Roster) -> Result<People, LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError::Failed(format!("--spawn: {error}"));
    let store = SqliteStore::open(database, StoreOptions::default()).await;
    let store = Arc::new(store.map_err(|error| failed(&error))?);
    let sender = roster.has_sender.then_some("admin");
    let roles: Vec<&str> = sender.into_iter().chain(roster.roles()).collect();
    let made = make(&store, &roles).await;
    store.close().await;
    let ids = made.map_err(|error| failed(&error))?;
    let people = ids.iter().zip(&roles).map(|(id, role)| person(secret, *id, role));
    let mut people = people.collect::<Result<Vec<_>, _>>()?;
    let sender = roster.has_sender.then(|| people.remove(0));
    Ok(People { listeners: people, sender })
}

async fn make(store: &Arc<SqliteStore>, roles: &[&str]) -> Result<Vec<u64>, String> {
    let one = |(n, role): (usize, &&str)| {
        let (store, role) = (Arc::clone(store), role.parse::<Role>());
        async move {
            let new = NewUser {
                id: None,
                username: format!("load{n}"),
                email: String::new(),
                full_name: String::new(),
                role: role.map_err(|error| error.to_string())?,
                whatsapp_number: String::new(),
                phone: String::new(),
                is_email_verified: true,
                password_hash: None,
                now: Timestamp::now(),
            };
            let made = store.create_user(new, None).await.map_err(|error| error.to_string())?;
            u64::try_from(made.0.id.0).map_err(|error| error.to_string())
        }
    };
    futures_util::stream::iter(roles.iter().enumerate().map(one))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
