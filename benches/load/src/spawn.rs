//! Servers that are started for a run: a hub on a temporary database, and processes of this tool.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use tempfile::TempDir;

use super::LoadError;
use super::children::{Owned, tied};
use super::plan::Place;
use super::tokens::{Participants, Roster, load_user};

/// The length of a secret, in bytes.
const SECRET_BYTES: usize = 32;

/// The variable of the database's URL.
const DATABASE: &str = "BELLPULL_DATABASE_URL";

/// The settings of a hub under load: all users connect from a few addresses, and a few accounts
/// write as fast as the hub accepts, which is what is measured.
pub const UNLIMITED: [(&str, &str); 2] =
    [("BELLPULL_WS_HANDSHAKES_PER_S", "0"), ("BELLPULL_HTTP_WRITES_PER_S", "0")];

/// The setting of a hub's connections, and its default.
const CONNECTIONS_MAX: &str = "BELLPULL_WS_MAX_CONNECTIONS";
const CONNECTIONS_USUAL: u64 = 100_000;

/// A server that is terminated when its owner is dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Owned,
    /// Removed with the process.
    _folder: Option<TempDir>,
}

impl Spawned {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// This program.
///
/// # Errors
/// Its file was removed.
pub fn own_binary() -> Result<PathBuf, LoadError> {
    std::env::current_exe()
        .map_err(|error| LoadError::Failed(format!("this program's own file: {error}")))
}

/// Starts a hub with this roster's accounts.
///
/// # Errors
/// See the text: its database, or the hub's error.
pub async fn hub(
    binary: Option<&Path>,
    roster: &Roster,
) -> Result<(Spawned, Place, Participants), LoadError> {
    let binary = binary.map_or_else(own_binary, |binary| Ok(binary.to_owned()))?;
    let folder = tempfile::tempdir()
        .map_err(|error| LoadError::Failed(format!("a temporary folder: {error}")))?;
    let database = format!("sqlite://{}", folder.path().join("load.db").display());
    let secret = secret()?;
    let participants = accounts(&binary, &database, &secret, roster).await?;
    let mut command = serve(&binary, &database);
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("BELLPULL_JWT_SECRET", &secret)
        .envs(UNLIMITED)
        .envs(connections())
        .current_dir(folder.path()); // no bellpull.toml of anybody's
    let (child, place, _) = start(command, &binary)?;
    Ok((Spawned { child, _folder: Some(folder) }, place, participants))
}

/// A new secret, in hexadecimal digits.
pub(super) fn secret() -> Result<String, LoadError> {
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|error| LoadError::Failed(error.to_string()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The setting of a hub's connections, unless it is set: no more than are possible, for a hub warns
/// of a limit that is higher.
pub(super) fn connections() -> Option<(String, String)> {
    if std::env::var_os(CONNECTIONS_MAX).is_some() {
        return None;
    }
    let most = crate::open_files::connections_max().min(CONNECTIONS_USUAL);
    Some((CONNECTIONS_MAX.to_owned(), most.to_string()))
}

/// The command of a hub on this database; warnings are logged unless a variable says otherwise.
pub(super) fn serve(binary: &Path, database: &str) -> Command {
    let mut command = tied(binary, "KILL");
    // The URL may contain a password, which arguments would show to other users.
    command.arg("serve").env(DATABASE, database);
    if std::env::var_os("BELLPULL_LOG_FILTER").is_none() {
        command.env("BELLPULL_LOG_FILTER", "warn");
    }
    command
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
    let (child, place, _) = start(command, &binary)?;
    Ok((Spawned { child, _folder: None }, place))
}

/// Starts a server and reads its first line, which contains its address.
fn start(
    mut command: Command,
    binary: &Path,
) -> Result<(Owned, Place, BufReader<ChildStdout>), LoadError> {
    let failed = |error: &dyn std::fmt::Display| {
        LoadError::Failed(format!("--spawn: {}: {error}", binary.display()))
    };
    command.stdout(Stdio::piped());
    let mut child = Owned::start(command).map_err(|error| failed(&error))?;
    let Some(stdout) = child.stdout.take() else { return Err(failed(&"no output")) };
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    let read = lines.read_line(&mut line).map_err(|error| failed(&error));
    let url = line.trim().strip_prefix("listening on ");
    let place = url.ok_or_else(|| failed(&"it did not start")).and_then(Place::parse);
    Ok((child, read.and(place)?, lines))
}

/// Creates accounts directly in the database: hashing passwords is not what is measured. The hub's
/// own program does it, so that its version has its own schema. Their tokens are signed with
/// `secret`, which must be the hub's.
///
/// # Errors
/// See the text: the database, or the program's error.
pub async fn accounts(
    binary: &Path,
    database: &str,
    secret: &str,
    roster: &Roster,
) -> Result<Participants, LoadError> {
    let sender = roster.has_sender.then_some("admin");
    let roles: Vec<&str> = sender.into_iter().chain(roster.roles()).collect();
    let (program, url) = (binary.to_owned(), database.to_owned());
    let lines: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    let failed =
        |error: String| LoadError::Failed(format!("--spawn: {}: {error}", binary.display()));
    let made = tokio::task::spawn_blocking(move || make(&program, &url, &lines)).await;
    let ids = made.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    let participants = ids.iter().zip(&roles).map(|(id, role)| load_user(secret, *id, role));
    let mut participants = participants.collect::<Result<Vec<_>, _>>()?;
    let sender = roster.has_sender.then(|| participants.remove(0));
    Ok(Participants { listeners: participants, sender })
}

/// The ids of new accounts with these roles, in order.
fn make(binary: &Path, database: &str, roles: &[String]) -> Result<Vec<u64>, String> {
    let mut child = Command::new(binary)
        .arg("load-accounts")
        .env(DATABASE, database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    // It reads all roles before it writes, so neither side waits for the other.
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(roles.join("\n").as_bytes()));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err("load-accounts failed (see above)".to_owned());
    }
    written.transpose().map_err(|error| error.to_string())?;
    let ids = String::from_utf8_lossy(&output.stdout);
    let ids: Vec<u64> = ids.lines().filter_map(|line| line.parse().ok()).collect();
    if ids.len() == roles.len() { Ok(ids) } else { Err("load-accounts made too few".to_owned()) }
}
