//! The options that all workloads share, and the plan that they result in.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::LoadError;
use crate::pipe::{Pace, Ready};
use crate::plan::{Place, Plain, Plan, Publish, Running, Server, Workload};
use crate::tokens::Login;

/// The default number of users.
const USERS: usize = 1_000;

/// The options of all workloads.
#[derive(clap::Args)]
pub(super) struct Options {
    /// How many users, or (with --jwt-secret) their ids: N, or FROM..TO, inclusive [default: 1000;
    /// 40 for tickets]
    #[arg(long, value_name = "N|FROM..TO", value_parser = users)]
    users: Option<Users>,
    /// Run with each of these numbers of users, in turn
    #[arg(long, value_name = "N,N,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    scale: Vec<u32>,
    /// Repeat, and print the medians too
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Handshakes in progress at once
    #[arg(long, value_name = "N", default_value_t = 64, conflicts_with = "rate",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// Begin this many handshakes per second, whether or not earlier ones have finished
    #[arg(long, value_name = "PER_SECOND",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How many worker processes share the sockets
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    processes: u16,
    /// Connect from these addresses in turn [default: 127.0.0.1 to 127.0.0.8 for 127.0.0.1]
    #[arg(long, value_name = "IP,IP,…", value_delimiter = ',')]
    source: Vec<IpAddr>,
    /// If 16 or more sockets are ready at once, wait this many µs for more before reading them. On
    /// one machine each wake-up of the tool delays the server, and a wait of 500 saves most of
    /// them; several values are measured in turn
    #[arg(long, value_name = "µs,µs,…", value_delimiter = ',', default_value = "0",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    read_wait: Vec<u32>,
    /// Time limit of each step, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    #[arg(skip)]
    default_users: Option<usize>,
    /// Print JSON instead of the table
    #[arg(long)]
    pub(super) json: bool,
    /// Write a picture (SVG) of the curves over --scale
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,

    /// Measure a hub that is started for each run on a temporary database; from this program, or
    /// from another one, to compare two builds. [default without --url and --nodes]
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true,
          default_missing_value = "", help_heading = "Servers")]
    spawn: Vec<String>,
    /// Measure a cluster of this many nodes, which are started for each run on a PostgreSQL and a
    /// Redis of their own (the machine's own programs); several numbers are measured in turn
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', help_heading = "Servers",
          value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: Vec<u8>,
    /// Measure a running server: ws://HOST:PORT[/PATH]; {user} and {token} in it are replaced. A
    /// cluster: the URLs of its nodes, joined by commas
    #[arg(long, value_name = "URL[,URL…]", help_heading = "Servers")]
    url: Vec<String>,
    /// The process id of the first, second… --url: measures its memory and CPU time. Of a cluster:
    /// those of all its nodes, in the same order
    #[arg(long, value_name = "PID[,PID…]", requires = "url", help_heading = "Servers",
          value_parser = pids)]
    pid: Vec<Pids>,
    /// Sign tokens for --users, as another issuer would: the hub needs auth.auto_provision, or
    /// accounts with these ids. The user after the last one sends
    #[arg(
        long,
        value_name = "SECRET",
        requires = "url",
        conflicts_with = "tokens",
        help_heading = "Servers"
    )]
    jwt_secret: Option<String>,
    /// A file with one access token per line
    #[arg(long, value_name = "FILE", requires = "url", help_heading = "Servers")]
    tokens: Option<PathBuf>,
    /// The token of the admin who sends, with --tokens
    #[arg(long, value_name = "TOKEN", requires = "tokens", help_heading = "Servers")]
    sender_token: Option<String>,

    /// The servers at --url are third-party servers
    #[arg(long, requires = "url", help_heading = "Third-party servers")]
    plain: bool,
    /// Sent on each socket; {user} and {token} in it are replaced
    #[arg(long, value_name = "TEXT", requires = "plain", help_heading = "Third-party servers")]
    subscribe: Option<String>,
    /// A socket is open once a frame contains this text [default: once it is upgraded]
    #[arg(long, value_name = "TEXT", requires = "plain", help_heading = "Third-party servers")]
    ready: Option<String>,
    /// An additional header line of each handshake; {user} and {token} are replaced
    #[arg(
        long,
        value_name = "NAME: VALUE",
        requires = "plain",
        help_heading = "Third-party servers"
    )]
    header: Vec<String>,
    /// The URL that receives a message for all users, for the first, second… --url
    #[arg(long, value_name = "URL", requires = "plain", help_heading = "Third-party servers")]
    publish_url: Vec<String>,
    /// The body of the request; {message} is replaced by the message
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "{message}",
        help_heading = "Third-party servers"
    )]
    publish_body: String,
    /// An additional header line of each such request
    #[arg(
        long,
        value_name = "NAME: VALUE",
        requires = "publish_url",
        help_heading = "Third-party servers"
    )]
    publish_header: Vec<String>,
}

// Without secrets.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("users", &self.users)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// How many, or which ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    Count(usize),
    Range(u64, u64),
}

/// The processes of a server's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pids(Vec<u32>);

fn pids(text: &str) -> Result<Pids, String> {
    let pid = |part: &str| part.parse().ok().filter(|pid| *pid > 0);
    let pids: Option<Vec<u32>> = text.split(',').map(pid).collect();
    pids.map(Pids).ok_or_else(|| format!("{text} is neither a process id nor PID,PID…"))
}

fn users(text: &str) -> Result<Users, String> {
    let bad = || format!("{text} is neither a number from 1 nor FROM..TO");
    match text.split_once("..") {
        None => text.parse().ok().filter(|count| *count > 0).map(Users::Count).ok_or_else(bad),
        Some((from, to)) => {
            let (from, to) = (from.parse().map_err(|_| bad())?, to.parse().map_err(|_| bad())?);
            if from == 0 || to < from { Err(bad()) } else { Ok(Users::Range(from, to)) }
        }
    }
}

impl Options {
    /// The same with another default number of users.
    pub(super) fn with_users(self, count: usize) -> Self {
        Self { default_users: Some(count), ..self }
    }

    fn default_users(&self) -> usize {
        self.default_users.unwrap_or(USERS)
    }

    /// The waits before reads, to be measured in turn.
    pub(super) fn read_waits(&self) -> Vec<Duration> {
        self.read_wait.iter().map(|us| Duration::from_micros(u64::from(*us))).collect()
    }

    /// The plan, validated as far as possible before the run starts.
    pub(super) fn plan(self, workload: Workload, has_baseline: bool) -> Result<Plan, LoadError> {
        let servers = self.servers(has_baseline)?;
        let login = self.login()?;
        let pace = match self.rate {
            Some(per_second) => Pace::Open { every_ns: 1_000_000_000 / u64::from(per_second) },
            None => Pace::Closed(usize::try_from(self.concurrency).unwrap_or(usize::MAX)),
        };
        let sizes = self.sizes(&login)?;
        let (least, why) = workload.least();
        if let Some(few) = sizes.iter().find(|size| **size < least) {
            let name = workload.name();
            return Err(LoadError::Wrong(format!(
                "--users: {few} are too few for {name}, the least is {least}: {why}"
            )));
        }
        Ok(Plan {
            workload,
            servers,
            sizes,
            runs: usize::from(self.runs),
            login,
            pace,
            processes: usize::from(self.processes),
            sources: self.source,
            read_wait: Duration::ZERO,
            patience: Duration::from_secs(u64::from(self.timeout)),
        })
    }

    fn sizes(&self, login: &Login) -> Result<Vec<usize>, LoadError> {
        if !self.scale.is_empty() {
            if matches!(self.users, Some(Users::Count(_))) {
                return Err(LoadError::wrong("--scale: --users says another number"));
            }
            let sizes = self.scale.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX));
            return Ok(sizes.collect());
        }
        match (self.users, login) {
            (Some(Users::Count(count)), _) => Ok(vec![count]),
            (Some(Users::Range(from, to)), Login::Signed { .. }) => {
                Ok(vec![usize::try_from(to - from + 1).unwrap_or(usize::MAX)])
            }
            (Some(Users::Range(..)), Login::Anonymous | Login::Tokens { .. }) => {
                Err(LoadError::wrong("--users: FROM..TO goes with --jwt-secret: give a number"))
            }
            (None, Login::Tokens { tokens, .. }) => Ok(vec![tokens.len()]),
            (None, Login::Anonymous | Login::Signed { .. }) => Ok(vec![self.default_users()]),
        }
    }

    fn login(&self) -> Result<Login, LoadError> {
        if let Some(secret) = &self.jwt_secret {
            let last = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let largest =
                self.scale.iter().copied().max().map_or(last(self.default_users()), u64::from);
            let (from, to) = match self.users {
                Some(Users::Range(from, to)) => (from, to),
                Some(Users::Count(count)) => (1, last(count)),
                None => (1, largest),
            };
            return Ok(Login::Signed { secret: secret.clone(), from, to });
        }
        let Some(file) = &self.tokens else { return Ok(Login::Anonymous) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| LoadError::Wrong(format!("--tokens: {}: {error}", file.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let tokens: Vec<String> = lines.map(str::to_owned).collect();
        if tokens.is_empty() {
            return Err(LoadError::Wrong(format!("--tokens: {} has none", file.display())));
        }
        Ok(Login::Tokens { tokens, sender: self.sender_token.clone() })
    }

    fn servers(&self, has_baseline: bool) -> Result<Vec<Server>, LoadError> {
        let spawned = self.spawn.iter().map(|program| {
            let is_another = !program.is_empty();
            Server::Spawned(is_another.then(|| absolute(Path::new(program))))
        });
        let mut servers: Vec<Server> = spawned.collect();
        servers.extend(self.nodes.iter().map(|count| Server::Cluster(usize::from(*count))));
        for (option, count) in
            [("--pid", self.pid.len()), ("--publish-url", self.publish_url.len())]
        {
            if count > self.url.len() {
                return Err(LoadError::Wrong(format!("{option}: there are more than --url")));
            }
        }
        for (n, url) in self.url.iter().enumerate() {
            servers.push(Server::Running(Box::new(self.running(n, url)?)));
        }
        if servers.is_empty() {
            servers.push(Server::Spawned(None));
        }
        if has_baseline {
            servers.push(Server::Bare);
        }
        let twice = servers
            .iter()
            .enumerate()
            .find(|(n, server)| servers[..*n].iter().any(|other| other.name() == server.name()));
        match twice {
            Some((_, server)) => Err(LoadError::Wrong(format!(
                "--url, --nodes, --spawn: {} is there twice",
                server.name()
            ))),
            None => Ok(servers),
        }
    }

    fn running(&self, n: usize, url: &str) -> Result<Running, LoadError> {
        let places = nodes(url).map(Place::parse).collect::<Result<Vec<_>, _>>();
        let places = named("--url", places)?;
        if let Some(other) = places.iter().find(|place| place.path != places[0].path) {
            let text = format!("--url: {}: the nodes of one cluster have one path", other.url);
            return Err(LoadError::Wrong(text));
        }
        let pids = self.pid.get(n).map(|pids| pids.0.clone()).unwrap_or_default();
        if !pids.is_empty() && pids.len() != places.len() {
            let (pids, nodes) = (pids.len(), places.len());
            let text = format!("--pid: {pids} for {nodes} nodes of {url}: one for each is needed");
            return Err(LoadError::Wrong(text));
        }
        let publish = self.publish_url.get(n).map(|url| {
            let place = named("--publish-url", Place::parse(url))?;
            let headers = self.publish_header.clone();
            Ok(Publish { places: vec![place], headers, body: self.publish_body.clone() })
        });
        let publish = publish.transpose()?;
        let ready = self.ready.clone().map_or(Ready::Upgraded, Ready::Frame);
        let plain = self.plain.then(|| Plain {
            subscribe: self.subscribe.clone(),
            ready,
            headers: self.header.clone(),
            publish,
        });
        Ok(Running { places, pids, plain })
    }
}

/// The URLs of a cluster's nodes. A comma within a URL is a part of it.
fn nodes(url: &str) -> impl Iterator<Item = &str> {
    let ends = url.match_indices(',').filter(|(at, _)| {
        let next = url[at + 1..].split_once("://").map(|(scheme, _)| scheme);
        next.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphabetic()))
    });
    let mut begin = 0;
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([url.len()]).collect();
    ends.into_iter().map(move |end| {
        let node = &url[begin..end];
        begin = end + 1;
        node
    })
}

/// A program's absolute path: a hub runs in a directory of its own.
fn absolute(program: &Path) -> PathBuf {
    std::path::absolute(program).unwrap_or_else(|_| program.to_owned())
}

/// An error text that begins with the option.
fn named<T>(option: &str, read: Result<T, LoadError>) -> Result<T, LoadError> {
    read.map_err(|error| LoadError::Wrong(format!("{option}: {error}")))
}
