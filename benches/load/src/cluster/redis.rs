//! A Redis, or Valkey, of one's own, which keeps nothing on disk.
//!
//! It listens on a loopback port alone, with a random password: a Redis that anyone may command
//! writes files as its user.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{LOOK, Process};
use super::{ports, programs};
use crate::LoadError;
use crate::children::tied;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long its destructor waits before it kills.
const END: Duration = Duration::from_secs(2);

/// A server; it ends when this is dropped.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    password: String,
    process: Option<Process>,
}

impl Redis {
    /// Starts one with its files in `folder`.
    pub(super) async fn start(folder: &Path, password: &str) -> Result<Self, LoadError> {
        let mut server = Self {
            program: programs::redis()?,
            folder: folder.to_owned(),
            address: ports::free()?,
            password: password.to_owned(),
            process: None,
        };
        server
            .configure()
            .map_err(|error| LoadError::failed(format!("{}: {error}", folder.display())))?;
        server.resume().await?;
        Ok(server)
    }

    /// Its URL; it contains the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{}@{}", self.password, self.address)
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
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

    /// Starts it after [`Self::stop`] or [`Self::kill`], empty, on the same port; returns once it
    /// answers. Nothing is done if it runs.
    ///
    /// # Errors
    /// It does not start; with the last lines of its log.
    pub async fn resume(&mut self) -> Result<(), LoadError> {
        if self.process.is_some() {
            return Ok(());
        }
        let mut command = tied(&self.program, "KILL");
        command.arg(self.configuration()).current_dir(&self.folder);
        let mut process = Process::start("redis", command, &self.folder.join("redis.log"))?;
        let deadline = Instant::now() + PATIENCE;
        while !answers(self.address, &self.password).await {
            if let Some(status) = process.ended()? {
                return Err(process.failed(status));
            }
            if Instant::now() > deadline {
                return Err(process.failed("it does not answer"));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Stops it by SIGTERM.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> Result<(), LoadError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::TERM)?;
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

    /// Kills it.
    ///
    /// # Errors
    /// It could not be killed.
    pub async fn kill(&mut self) -> Result<(), LoadError> {
        match self.process.take() {
            Some(process) => process.kill(PATIENCE).await,
            None => Ok(()),
        }
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("redis.conf")
    }

    /// Writes its settings: a password among its arguments could be read by other users.
    fn configure(&self) -> std::io::Result<()> {
        let mut file =
            File::options().write(true).create_new(true).mode(0o600).open(self.configuration())?;
        let (address, password) = (self.address, &self.password);
        writeln!(file, "bind {}\nport {}\nrequirepass {password}", address.ip(), address.port())?;
        writeln!(file, "save \"\"\nappendonly no")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(Signal::TERM, END);
        }
    }
}

/// Whether a server with this password answers there.
async fn answers(address: SocketAddr, password: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes()).await?;
        let mut answer = [0; b"+OK\r\n+PONG\r\n".len()];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    matches!(answer, Ok(Ok(answer)) if &answer == b"+OK\r\n+PONG\r\n")
}
