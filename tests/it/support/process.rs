//! The binary itself, in a process that can be killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use super::limited::MemoryLimit;

/// The setting of a hub to which a test writes as fast as it can.
pub const UNLIMITED: (&str, &str) = ("BELLPULL_HTTP_WRITES_PER_S", "0");

/// A running hub.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

/// The command with nothing of the test's own environment in it.
pub fn command(database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellpull"));
    let own = std::env::vars().filter(|(name, _)| name.starts_with("BELLPULL_"));
    for (name, _) in own {
        command.env_remove(name);
    }
    command.env("BELLPULL_DATABASE_URL", format!("sqlite://{}", database.display()));
    command.env("BELLPULL_LOG_FILTER", "warn");
    if let Some(folder) = database.parent() {
        command.current_dir(folder); // no bellpull.toml of anybody's
    }
    command
}

/// Runs a command to its end.
pub fn run(database: &Path, arguments: &[&str]) -> Output {
    command(database).args(arguments).output().unwrap()
}

/// Runs a command that must succeed; its standard output without the line's end.
pub fn run_ok(database: &Path, arguments: &[&str]) -> String {
    run_ok_with(database, &[], arguments)
}

/// The same with these settings.
fn run_ok_with(database: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = command(database);
    let output = command.envs(settings.iter().copied()).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Process {
    /// Starts `serve` on any port, with these settings.
    pub fn serve(database: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start(
            command(database)
                .args(["serve", "--listen", "127.0.0.1:0"])
                .envs(settings.iter().copied()),
        )
    }

    /// The same at an address of the test's: see [`lasting_address`].
    pub fn serve_at(address: SocketAddr, database: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start(
            command(database)
                .args(["serve", "--listen", &address.to_string()])
                .envs(settings.iter().copied()),
        )
    }

    /// The same with its log in a file.
    pub fn serve_logged(database: &Path, settings: &[(&str, &str)], log: &Path) -> Self {
        Self::start(
            command(database)
                .args(["serve", "--listen", "127.0.0.1:0"])
                .envs(settings.iter().copied())
                .stderr(File::create(log).unwrap()),
        )
    }

    /// The same within a limit on its memory.
    pub fn serve_within(limit: &MemoryLimit, database: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start(
            limit
                .command(database)
                .args(["serve", "--listen", "127.0.0.1:0"])
                .envs(settings.iter().copied()),
        )
    }

    /// The most memory that it ever had resident, in MiB; `None` once it has ended.
    pub fn peak_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib / 1024)
    }

    /// The same by another command, which is given the hub's arguments.
    pub fn serve_as(
        mut wrapped: Command,
        database: &Path,
        settings: &[(&str, &str)],
        log: &Path,
    ) -> Self {
        let own = command(database);
        let variables = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
        wrapped.envs(variables).envs(settings.iter().copied());
        if let Some(folder) = database.parent() {
            wrapped.current_dir(folder);
        }
        wrapped.args(["serve", "--listen", "127.0.0.1:0"]);
        Self::start(wrapped.stderr(File::create(log).unwrap()))
    }

    /// Starts a hub, and reads its first line.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .and_then(|url| url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")))
            .unwrap_or_else(|| panic!("the first line was {line:?}"));
        Self { address: address.parse().unwrap(), child }
    }

    /// The process' id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`: no line of its own runs any more.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `SIGTERM`; returns once it has exited.
    pub fn terminate(self) -> ExitStatus {
        self.signal("-TERM");
        self.exited()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; one that does not end in half a minute never will.
    pub fn exited(mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the hub does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes an account by the command line, and a token for it; its id and token.
pub fn person(database: &Path, username: &str, role: &str) -> (i64, String) {
    person_with(database, &[], username, role)
}

/// The same with these settings, such as another database.
pub fn person_with(
    database: &Path,
    settings: &[(&str, &str)],
    username: &str,
    role: &str,
) -> (i64, String) {
    let run = |arguments: &[&str]| run_ok_with(database, settings, arguments);
    let user = ["user", "create", "--username", username, "--role", role];
    let user = run(&[&user[..], &["--password", "correct horse"]].concat());
    let user: serde_json::Value = serde_json::from_str(&user).unwrap();
    (user["id"].as_i64().unwrap(), run(&["token", "--user", username]))
}

/// A folder for a database that is gone after the test.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("hub.db");
    (folder, database)
}

/// An address for hubs one after the other. Its port is below those that the kernel gives out: else
/// a client that comes back while no hub is there may be given that very port, and meet itself.
pub fn lasting_address() -> SocketAddr {
    loop {
        let port = 20_000 + getrandom::u32().unwrap() % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port.try_into().unwrap()));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
