//! `bellpull demo`: a ticket's life cycle over real sockets, on a hub of its own.
//!
//! The hub is a real one on a temporary SQLite file; its users log in over REST and hold real
//! WebSockets. Every expected frame is awaited and checked, so the demo is also a test: `--once`
//! exits non-zero if a frame is missing, duplicated or wrong.

mod client;
mod print;
mod story;

use std::net::{Ipv4Addr, SocketAddr};

use bellpull_actors::domain::address::Addresses;
use bellpull_actors::port::accounts::NewUser;
use jiff::Timestamp;

use super::serve::Signals;
use super::{CliError, SettingFlags};
use crate::app::App;
use crate::config::Config;
use crate::telemetry;
use client::Person;

const EXAMPLES: &str = "\
Examples:
  bellpull demo                          the story, then a hub to try: Ctrl-C stops it
  bellpull demo --once                   the story alone; exits 0 if every frame arrived
  bellpull demo --listen 127.0.0.1:0     on any free port";

/// The options of `demo`: every setting, although its database is temporary.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Exits after the story: 0 if every expected frame arrived, 1 otherwise
    #[arg(long)]
    once: bool,
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
    let mut config = args.settings.load_quietly()?;
    telemetry::init_metrics();
    let folder = tempfile::tempdir()
        .map_err(|error| CliError::failed(format!("no temporary folder: {error}")))?;
    config.database_url = format!("sqlite://{}", folder.path().join("demo.db").display()).into();
    let mut signals = Signals::listen()?;
    let app = start(config, args.once).await?;
    let outcome = play(&app).await;
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
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if once && config.listen == usual {
        config.listen = any; // a story that ends needs no fixed address
    }
    if config.listen == usual && std::net::TcpListener::bind(usual).is_err() {
        print::port_taken(usual);
        config.listen = any;
    }
    Ok(App::start(config).await?)
}

async fn join_cast(
    app: &App,
    (username, full_name, role): (&str, &str, &str),
) -> Result<Person, String> {
    let hash = app.auth().hash_password(PASSWORD.to_owned()).await;
    let new = NewUser {
        id: None,
        username: username.to_owned(),
        addresses: Addresses::email(format!("{username}@example.com")),
        full_name: full_name.to_owned(),
        role: role.parse().map_err(|_| format!("{role} is no role"))?,
        is_email_verified: true,
        password_hash: Some(hash.map_err(|error| error.to_string())?),
        now: Timestamp::now(),
    };
    app.store().create_user(new, None).await.map_err(|error| error.to_string())?;
    Person::log_in(&app.url(), username, full_name, PASSWORD).await
}

async fn play(app: &App) -> Result<(), String> {
    print::opening(&app.url());
    let mut people = Vec::new();
    for member in CAST {
        people.push(join_cast(app, member).await?);
    }
    let [john, ada, sara, root] =
        <[Person; 4]>::try_from(people).map_err(|_| "the cast is not complete".to_owned())?;
    story::play(story::Cast { john, ada, sara, root }).await
}
