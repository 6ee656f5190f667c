//! A PostgreSQL of one's own, in a temporary folder.
//!
//! It listens on a loopback port alone, and its one account has a random password: another user of
//! the machine cannot open it. PostgreSQL refuses to run as root, so root starts it as the user
//! `postgres`, or one without any rights.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{LOOK, Process, failed};
use super::{ports, programs};
use crate::LoadError;
use crate::children::tied;

/// The account and its database.
pub(super) const USER: &str = "bellpull";
const DATABASE: &str = "postgres";
/// The folder of its data.
const DATA: &str = "postgres";
/// More than the pools of nine nodes.
const CONNECTIONS_MAX: u32 = 400;
/// How long a slow commit waits before it is written, in microseconds, and how many other open
/// transactions it takes for that: as a busy disk does.
const SLOW_COMMIT: (u32, u32) = (15_000, 0);
/// How long a start, a stop or a recovery may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long its destructor waits before it kills.
const END: Duration = Duration::from_secs(5);

/// A server; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    pub(super) programs: PathBuf,
    /// With the log, and `postgres/`, which has the data. The server's account may write only
    /// there: no file that this process opens can be a link of its making.
    pub(super) folder: PathBuf,
    /// The folder of its data.
    pub(super) data: PathBuf,
    pub(super) address: SocketAddr,
    pub(super) password: String,
    /// As which it runs, if not as the caller.
    pub(super) account: Option<Account>,
    pub(super) is_durable: bool,
    pub(super) has_slow_commits: bool,
    pub(super) process: Option<Process>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Initialises and starts one with its files in `folder`.
    pub(super) async fn start(
        folder: &Path,
        password: &str,
        is_durable: bool,
    ) -> Result<Self, LoadError> {
        let programs = programs::postgres()?;
        let account = rustix::process::geteuid().is_root().then(Account::find);
        let data = folder.join(DATA);
        private_folder(folder, &data, account)
            .map_err(|error| LoadError::failed(format!("{}: {error}", folder.display())))?;
        let mut server = Self {
            programs,
            folder: folder.to_owned(),
            data,
            address: ports::free()?,
            password: password.to_owned(),
            account,
            is_durable,
            has_slow_commits: false,
            process: None,
        };
        server.initialise().await?;
        server.resume().await?;
        Ok(server)
    }

    /// Its URL; it contains the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@{}/{DATABASE}", self.password, self.address)
    }

    /// Whether each commit waits for the disk, and before that until others may have joined it: a
    /// crash meets commits that are in flight. It is restarted for a change.
    ///
    /// # Errors
    /// Those of [`Self::restart`].
    pub async fn set_slow_commits(&mut self, are_slow: bool) -> Result<(), LoadError> {
        if std::mem::replace(&mut self.has_slow_commits, are_slow) == are_slow {
            return Ok(());
        }
        self.restart().await
    }

    /// The URL of another database of it, which is created empty. What there was under that name is
    /// dropped.
    ///
    /// # Errors
    /// It could not be created.
    pub async fn empty_database(&self, name: &str) -> Result<String, LoadError> {
        self.create(name, "template1").await
    }

    /// The URL of a copy of one of its databases, which replaces what there was under that name.
    /// Who is connected to the one that is copied is sent away, and may come back.
    ///
    /// # Errors
    /// It could not be created.
    pub async fn copy_database(&self, of: &str, name: &str) -> Result<String, LoadError> {
        let open = |is_open: bool| format!("ALTER DATABASE {of} ALLOW_CONNECTIONS {is_open}");
        let leave = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{of}'"
        );
        let deadline = Instant::now() + PATIENCE;
        let copied = loop {
            // Twice, if one came in before the door was closed.
            match self.execute(&[open(false), leave.clone()]).await {
                Ok(()) => {}
                Err(error) => break Err(error),
            }
            match self.create(name, of).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                created => break created,
            }
        };
        self.execute(&[open(true)]).await?;
        copied
    }

    async fn create(&self, name: &str, template: &str) -> Result<String, LoadError> {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        self.execute(&[drop, format!("CREATE DATABASE {name} TEMPLATE {template}")]).await?;
        let (address, password) = (self.address, &self.password);
        Ok(format!("postgres://{USER}:{password}@{address}/{name}"))
    }

    /// Executes statements, each in a transaction of its own.
    async fn execute(&self, statements: &[String]) -> Result<(), LoadError> {
        let executed = async {
            let mut connection = PgConnection::connect(&self.url()).await?;
            for statement in statements {
                connection.execute(AssertSqlSafe(statement.clone())).await?;
            }
            connection.close().await
        };
        let failed = |why: String| LoadError::failed(format!("postgres: {statements:?}: {why}"));
        match tokio::time::timeout(PATIENCE, executed).await {
            Ok(executed) => executed.map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Starts it after [`Self::stop`] or [`Self::kill`], on the same port and data; returns once it
    /// answers. Nothing is done if it runs.
    ///
    /// # Errors
    /// It does not start; with the last lines of its log.
    pub async fn resume(&mut self) -> Result<(), LoadError> {
        let deadline = Instant::now() + PATIENCE;
        while self.process.is_none() {
            let mut process = Process::start("postgres", self.command(), &self.log())?;
            loop {
                if process.ended()?.is_some() {
                    // Processes of the server that was killed still leave.
                    break;
                }
                if answers(self.address).await {
                    self.process = Some(process);
                    return Ok(());
                }
                if Instant::now() > deadline {
                    return Err(process.failed("it does not answer"));
                }
                tokio::time::sleep(LOOK).await;
            }
            if Instant::now() > deadline || !self.is_left_behind() {
                return Err(process.failed("it does not start"));
            }
            tokio::time::sleep(LOOK * 10).await;
        }
        Ok(())
    }

    /// Stops it by a "fast" shutdown: open transactions are rolled back and connections closed.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> Result<(), LoadError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::INT)?;
        process.exited(PATIENCE).await.map(drop)
    }

    /// [`Self::stop`] and [`Self::resume`].
    ///
    /// # Errors
    /// Theirs.
    pub async fn restart(&mut self) -> Result<(), LoadError> {
        self.stop().await?;
        self.resume().await
    }

    /// Kills the server process, as the kernel does when memory is short: its other processes
    /// notice it and leave, and the next start recovers from the log.
    ///
    /// # Errors
    /// It could not be killed.
    pub async fn kill(&mut self) -> Result<(), LoadError> {
        match self.process.take() {
            Some(process) => process.kill(PATIENCE).await,
            None => Ok(()),
        }
    }

    /// An "immediate" shutdown: its processes end at once, in whatever they are doing, and the next
    /// start recovers from the log.
    ///
    /// # Errors
    /// It does not end.
    pub async fn crash(&mut self) -> Result<(), LoadError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::QUIT)?;
        process.exited(PATIENCE).await.map(drop)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// Whether a start failed because processes of the last server were still there.
    fn is_left_behind(&self) -> bool {
        let tail = super::process::tail(&self.log());
        let last = tail.lines().rev().take(4);
        last.filter(|line| line.contains("FATAL"))
            .any(|line| line.contains("pre-existing shared memory") || line.contains("lock file"))
    }

    async fn initialise(&self) -> Result<(), LoadError> {
        let password = self.folder.join("password");
        let write = || {
            let mut file = File::options();
            let file = file.write(true).create_new(true).mode(0o600);
            file.open(&password)?.write_all(self.password.as_bytes())?;
            self.account.map_or(Ok(()), |one| chown(&password, Some(one.uid), Some(one.gid)))
        };
        write().map_err(|error| LoadError::failed(format!("{}: {error}", password.display())))?;
        let mut command = self.program("initdb");
        command
            .arg("--pgdata")
            .arg(&self.data)
            .arg("--pwfile")
            .arg(&password)
            .args(["--username", USER, "--auth", "scram-sha-256", "--no-sync"])
            .args(["--encoding", "UTF8", "--locale", "C.UTF-8"]);
        let mut process = Process::start("initdb", command, &self.log())?;
        let status = process.exited(PATIENCE).await?;
        if !status.success() {
            return Err(process.failed(status));
        }
        // What is left of the log must be the server's.
        let cleared = std::fs::remove_file(&password).and_then(|()| std::fs::write(self.log(), ""));
        cleared.map_err(|error| failed("initdb", &self.log(), error))
    }

    fn command(&self) -> Command {
        let mut command = self.program("postgres");
        command.arg("-D").arg(&self.data);
        let on = on(self.waits_for_disk());
        let (delay_us, siblings) = if self.has_slow_commits { SLOW_COMMIT } else { (0, 5) };
        for setting in [
            format!("port={}", self.address.port()),
            format!("listen_addresses={}", self.address.ip()),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={CONNECTIONS_MAX}"),
            format!("fsync={on}"),
            format!("full_page_writes={on}"),
            "synchronous_commit=on".to_owned(),
            format!("commit_delay={delay_us}"),
            format!("commit_siblings={siblings}"),
        ] {
            command.arg("-c").arg(setting);
        }
        command
    }

    fn waits_for_disk(&self) -> bool {
        self.is_durable || self.has_slow_commits
    }

    /// One of its programs, as its account.
    pub(super) fn program(&self, name: &str) -> Command {
        // At once and without a trace in shared memory: nothing of it is used again.
        let mut command = tied(self.programs.join(name), "QUIT");
        command.current_dir(&self.folder);
        // No setting of the caller's own PostgreSQL.
        for variable in ["PGDATA", "PGPORT", "PGHOST", "PGOPTIONS"] {
            command.env_remove(variable);
        }
        if let Some(Account { uid, gid }) = self.account {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(Signal::QUIT, END);
        }
    }
}

impl Account {
    /// The account without any rights: its number is the same on all Linux distributions.
    const POWERLESS: Self = Self { uid: 65_534, gid: 65_534 };

    /// The account `postgres`, which comes with the package.
    fn find() -> Self {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let of = |fields: Vec<&str>| match fields[..] {
            ["postgres", _, uid, gid, ..] => {
                Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            }
            _ => None,
        };
        lines.filter_map(of).next().unwrap_or(Self::POWERLESS)
    }
}

/// A setting's value.
fn on(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

/// Makes the folder of the data, for the account alone.
pub(super) fn private_folder(
    folder: &Path,
    data: &Path,
    account: Option<Account>,
) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(data)?;
    let Some(Account { uid, gid }) = account else { return Ok(()) };
    // The account passes through the outer folder, and cannot list it.
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o711))?;
    chown(data, Some(uid), Some(gid))
}

/// Whether a server accepts connections there: it asks for a password. While it starts, recovers or
/// stops, it answers the same message with an error.
async fn answers(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut message = 196_608_u32.to_be_bytes().to_vec(); // version 3.0 of the protocol
        for text in ["user", USER, "database", DATABASE, ""] {
            message.extend(text.bytes().chain([0]));
        }
        let length = u32::try_from(message.len() + 4).unwrap_or_default();
        stream.write_all(&[&length.to_be_bytes()[..], &message].concat()).await?;
        stream.read_u8().await
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    matches!(answer, Ok(Ok(b'R')))
}
