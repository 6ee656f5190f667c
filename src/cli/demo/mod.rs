//! `bellpull demo`: a ticket's life cycle over real sockets, on a hub of its own.
//!
//! The hub is a real one on a temporary SQLite file; its users log in over REST and hold real
//! WebSockets. Every expected frame is awaited and checked, and in the end all that a user has
//! received is compared with the inbox, so the demo is also a test: `--once` exits non-zero if a
//! frame is missing, duplicated or wrong. With `--nodes` the hub is several
//! processes, and one of them is killed in the middle ([`nodes`]).

mod act;
mod client;
mod compare;
mod data;
#[cfg(feature = "load")]
mod nodes;
mod print;
mod story;

use std::net::{Ipv4Addr, SocketAddr};

use bellpull_domain::address::Addresses;
use bellpull_domain::user::Origin;
use bellpull_port::accounts::NewUser;
use jiff::Timestamp;

use super::serve::Signals;
use super::{CliError, SettingFlags};
use crate::app::App;
use act::{Owed, Site, Sites};
use bellpull_config::Config;
use bellpull_telemetry as telemetry;
use client::Person;

const EXAMPLES: &str = "\
Examples:
  bellpull demo                          the story, then a hub to try: Ctrl-C stops it
  bellpull demo --data                   the same, with twenty users and sixty tickets to look at
  bellpull demo --once                   the story alone; exits 0 if every frame arrived
  bellpull demo --listen 127.0.0.1:0     on any free port
  bellpull demo --nodes 3                over three nodes, one of which is killed meanwhile";

/// How many nodes a demo may have.
#[cfg(feature = "load")]
const NODES_MAX: u8 = 9;

/// The options of `demo`: every setting, although its database is temporary.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Exits after the story: 0 if every expected frame arrived, 1 otherwise
    #[arg(long)]
    once: bool,
    /// After the story, fills the hub: twenty users, three projects, sixty tickets, sends, e-mails
    /// of which some are refused, and slow requests. Accounts have no limit of writes then
    #[arg(long)]
    data: bool,
    /// Plays on this many nodes behind a proxy, kills one with SIGKILL in the middle, and compares
    /// what each user received with the inbox. PostgreSQL and Redis are started for it from the
    /// machine's own programs, unless --database and --redis are given (as flags: those of the
    /// environment and of bellpull.toml are not touched)
    #[cfg(feature = "load")]
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    nodes: u8,
    #[command(flatten)]
    settings: SettingFlags<true>,
}

/// The password of all demo users.
const PASSWORD: &str = "bellpull-demo";

/// The users: username, full name, role.
const CAST: [(&str, &str, &str); 4] = [
    ("john_client", "John Client", "client"),
    ("ada_admin", "Ada Admin", "admin"),
    ("sara_dev", "Sara Developer", "developer"),
    ("root_admin", "Robin Root", "super_admin"),
];

/// Plays the story; keeps serving after it unless `--once`.
///
/// # Errors
/// A frame that was missing, duplicated or wrong, or the reason why the hub did not start.
pub async fn run(args: Args) -> Result<(), CliError> {
    #[cfg(feature = "load")]
    if args.nodes > 1 {
        return nodes::run(args).await;
    }
    let mut config = args.settings.load_quietly()?;
    telemetry::init_metrics();
    let folder = tempfile::tempdir()
        .map_err(|error| CliError::failed(format!("no temporary folder: {error}")))?;
    config.database_url = format!("sqlite://{}", folder.path().join("demo.db").display()).into();
    // Its own client, and the addresses that it prints, are plain HTTP.
    config.tls = None;
    let mut signals = Signals::listen()?;
    if args.data {
        data::prepare(&mut config).await.map_err(CliError::failed)?;
    }
    let app = start(config, args.once).await?;
    let mut outcome = play(&app).await;
    if args.data && outcome.is_ok() {
        outcome = data::fill(&app).await;
    }
    match &outcome {
        Ok(()) if args.once => print::done(),
        Ok(()) => {
            print::serving(&app.url(), PASSWORD, &CAST);
            signals.until_told_to_stop(&app).await;
        }
        Err(_) => {}
    }
    app.stop().await;
    outcome.map_err(CliError::failed)
}

/// Starts the hub; if the default port is in use, on any free one.
async fn start(mut config: Config, once: bool) -> Result<App, CliError> {
    config.listen = listen(config.listen, once);
    Ok(App::start(config).await?)
}

/// Where the demo listens: on any free port if the default one is in use.
fn listen(wanted: SocketAddr, once: bool) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if once && wanted == usual {
        return any; // a story that ends needs no fixed address
    }
    if wanted == usual && std::net::TcpListener::bind(usual).is_err() {
        print::port_taken(usual);
        return any;
    }
    wanted
}

/// An account with the demo's password.
fn account(
    (username, full_name, role): (&str, &str, &str),
    password_hash: String,
) -> Result<NewUser, String> {
    Ok(NewUser {
        id: None,
        origin: Origin::Hub,
        username: username.to_owned(),
        addresses: Addresses::email(format!("{username}@example.com")),
        full_name: full_name.to_owned(),
        role: role.parse().map_err(|_| format!("{role} is no role"))?,
        is_email_verified: true,
        password_hash: Some(password_hash),
        now: Timestamp::now(),
    })
}

async fn join_cast(app: &App, member: (&str, &str, &str)) -> Result<Person, String> {
    let hash = app.auth().hash_password(PASSWORD.to_owned()).await;
    let new = account(member, hash.map_err(|error| error.to_string())?)?;
    app.store().create_user(new, None).await.map_err(|error| error.to_string())?;
    let (username, full_name, _) = member;
    Person::log_in(&app.url(), username, full_name, PASSWORD).await
}

impl Sites for App {
    fn site(&self, _owed: &[Owed<'_>]) -> Site {
        Site { url: self.url(), node: None }
    }
}

async fn play(app: &App) -> Result<(), String> {
    print::opening(&app.url());
    let mut people = Vec::new();
    for member in CAST {
        people.push(join_cast(app, member).await?);
    }
    story::play(story::Cast::of(people)?, app).await
}
