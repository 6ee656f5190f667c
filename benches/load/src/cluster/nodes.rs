//! Processes of `bellpull serve` on one database and one Redis.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ports;
use super::process::{LOOK, Process, failed, tail};
use crate::LoadError;
use crate::spawn::{own_binary, serve};

/// How long a node may take until it is ready: it may migrate the database.
const START: Duration = Duration::from_secs(60);
/// How long the kernel may take to remove a process that was killed.
const KILL: Duration = Duration::from_secs(30);

/// What the nodes run, and on what.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// The program; this one by default.
    pub program: Option<PathBuf>,
    /// The database's URL.
    pub database: String,
    /// The Redis' URL; one node needs none.
    pub redis: Option<String>,
    /// Further settings of all nodes: names of variables (`BELLPULL_…`) and values.
    pub settings: Vec<(String, String)>,
    /// With what the nodes' names begin, before a, b, c….
    pub prefix: String,
    /// The working directory, where a node reads `bellpull.toml` [default: a temporary folder].
    pub directory: Option<PathBuf>,
    /// Where the nodes' logs go, each named after its node [default: a temporary folder].
    pub logs: Option<PathBuf>,
}

/// Several nodes. They end when this is dropped, and their temporary folder is removed.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    /// After the nodes, which end first.
    _folder: TempDir,
}

/// One node: its name, its address and, while it runs, its process.
#[derive(Debug)]
pub struct Node {
    name: String,
    address: SocketAddr,
    options: NodeOptions,
    log: PathBuf,
    process: Option<Process>,
}

impl Nodes {
    /// Starts `count` nodes with the names a, b, c… Returns once all are ready.
    ///
    /// # Errors
    /// One does not become ready; with the last lines of its log.
    pub async fn start(options: &NodeOptions, count: usize) -> Result<Self, LoadError> {
        let folder = tempfile::Builder::new().prefix("bellpull-nodes-").tempdir();
        let folder =
            folder.map_err(|error| LoadError::failed(format!("a temporary folder: {error}")))?;
        let mut nodes = Vec::new();
        for n in 0..count {
            let name = format!("{}{}", options.prefix, name(n));
            let logs = options.logs.as_deref().unwrap_or(folder.path());
            let log = logs.join(format!("{name}.log"));
            let mut options = options.clone();
            options.directory.get_or_insert_with(|| folder.path().to_owned());
            let address = ports::free()?;
            nodes.push(Node { name, address, options, log, process: None });
        }
        let mut nodes = Self { nodes, _folder: folder };
        // The first migrates the database; the others need not wait for its lock.
        let Some((first, others)) = nodes.nodes.split_first_mut() else { return Ok(nodes) };
        first.start().await?;
        for node in &mut *others {
            node.begin()?;
        }
        for node in others {
            node.until_ready().await?;
        }
        Ok(nodes)
    }

    /// The addresses of all, for a proxy.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }
}

impl std::ops::Deref for Nodes {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        &self.nodes
    }
}

impl std::ops::DerefMut for Nodes {
    fn deref_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, which stays the same.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// From its next start on it is another program: for two versions side by side.
    pub fn set_program(&mut self, program: PathBuf) {
        self.options.program = Some(program);
    }

    /// From its next start on it has this setting: the name of a variable (`BELLPULL_…`, or one of
    /// the process) and its value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.options.settings.retain(|(one, _)| one != name);
        self.options.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it, also again on its port; returns once it is ready.
    ///
    /// # Errors
    /// It does not become ready; with the last lines of its log.
    pub async fn start(&mut self) -> Result<(), LoadError> {
        self.begin()?;
        self.until_ready().await
    }

    /// Starts it without waiting. Nothing is done if it runs.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn begin(&mut self) -> Result<(), LoadError> {
        if self.process.is_some() {
            return Ok(());
        }
        let NodeOptions { program, database, redis, settings, directory, .. } = &self.options;
        let program = program.clone().map_or_else(own_binary, Ok)?;
        let mut command = serve(&program, database);
        // A setting that two nodes cannot share is not inherited.
        command.env_remove("BELLPULL_OPERATOR_LISTEN").env_remove("BELLPULL_NODE_URL");
        command.env_remove("BELLPULL_REDIS_URL");
        command.envs(redis.iter().map(|url| ("BELLPULL_REDIS_URL", url)));
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.env("BELLPULL_NODE", &self.name).env("BELLPULL_LISTEN", self.address.to_string());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        self.process = Some(Process::start(&self.title(), command, &self.log)?);
        Ok(())
    }

    /// Waits until `/readyz/` says so.
    ///
    /// # Errors
    /// It does not become ready; with the last lines of its log.
    pub async fn until_ready(&mut self) -> Result<(), LoadError> {
        let deadline = Instant::now() + START;
        loop {
            let title = self.title();
            let Some(process) = &mut self.process else {
                return Err(failed(&title, &self.log, "it does not run"));
            };
            if let Some(status) = process.ended()? {
                let error = process.failed(format!("it ended ({status})"));
                self.process = None;
                return Err(error);
            }
            if is_ready(self.address).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(process.failed(format!("it is not ready after {START:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether `/readyz/` says that it is ready.
    pub async fn is_ready(&self) -> bool {
        self.process.is_some() && is_ready(self.address).await
    }

    /// Kills it (SIGKILL); returns once it is gone.
    ///
    /// # Errors
    /// It could not be killed.
    pub async fn kill(&mut self) -> Result<(), LoadError> {
        match self.process.take() {
            Some(process) => process.kill(KILL).await,
            None => Ok(()),
        }
    }

    /// Freezes it (SIGSTOP): its connections stay, and it does nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<(), LoadError> {
        self.signal(Signal::STOP)
    }

    /// Wakes it (SIGCONT).
    ///
    /// # Errors
    /// It does not run.
    pub fn wake(&self) -> Result<(), LoadError> {
        self.signal(Signal::CONT)
    }

    /// Asks it to stop (SIGTERM): it drains.
    ///
    /// # Errors
    /// It does not run.
    pub fn terminate(&self) -> Result<(), LoadError> {
        self.signal(Signal::TERM)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It does not end in time, or does not run.
    pub async fn exited(&mut self, patience: Duration) -> Result<ExitStatus, LoadError> {
        let title = self.title();
        let process = self.process.as_mut();
        let process = process.ok_or_else(|| failed(&title, &self.log, "it does not run"))?;
        let status = process.exited(patience).await?;
        self.process = None;
        Ok(status)
    }

    fn signal(&self, signal: Signal) -> Result<(), LoadError> {
        let process = self.process.as_ref();
        process.ok_or_else(|| failed(&self.title(), &self.log, "it does not run"))?.signal(signal)
    }

    fn title(&self) -> String {
        format!("node {}", self.name)
    }
}

/// a, b, … z, then n27, n28…
fn name(n: usize) -> String {
    match u8::try_from(n) {
        Ok(small) if small < 26 => char::from(b'a' + small).to_string(),
        Ok(_) | Err(_) => format!("n{}", n + 1),
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /readyz/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; b"HTTP/1.1 200".len()];
        stream.read_exact(&mut head).await?;
        Ok::<_, std::io::Error>(head)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    matches!(answer, Ok(Ok(head)) if &head == b"HTTP/1.1 200")
}
