//! `check`: whether a hub with these settings can do its work.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use bellpull_domain::delivery::WebhookTarget;
use bellpull_domain::ids::WebhookId;
use bellpull_port::clock::SystemClock;
use bellpull_port::{Clock, RefusedMessages};
use owo_colors::OwoColorize;
use serde::Serialize;

use super::{CliError, SettingFlags, print_line};
use bellpull_auth::{OWN_SHOWN_MAX, shown_own};
use bellpull_broker::{self, Cluster, RedisBroker};
use bellpull_config::Config;
use bellpull_config::outside::Outside;
use bellpull_delivery::reach;
use bellpull_delivery::webhook::{CALL_MAX, WebhookCaller};
use bellpull_storage::{self, Looked};
use bellpull_tls::{BadFiles, Certificate, Own, hub_client, set_outbound};

const EXAMPLES: &str = "\
Examples:
  bellpull check
  bellpull check --mail me@example.com
  bellpull check --webhook https://desk.example.com/hooks/bellpull --json

It changes nothing, and may run beside a hub. Exit code 1 if anything does not work.";

/// What is tried.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Send a mail to this address
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// Call this URL as a webhook; the call is not signed
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Only ask the hub that runs with these settings whether it is ready, as a health check
    #[arg(long, conflicts_with_all = ["mail", "webhook", "json"])]
    running: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags<true>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Off,
    Failed,
}

#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    state: State,
    detail: String,
}

/// Tries everything, and prints a line for each.
///
/// # Errors
/// See [`CliError`]; also if anything does not work.
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load_quietly()?;
    if args.running {
        return running(&config).await;
    }
    set_outbound(&config.outbound).map_err(|bad| CliError::wrong(bad.to_string()))?;
    let mut failed = 0;
    let mut say = |line: Line| {
        failed += usize::from(line.state == State::Failed);
        let text = if args.json { serde_json::to_string(&line).ok() } else { Some(drawn(&line)) };
        print_line(&text.unwrap_or_default())
    };
    let set = config.effective.iter().filter(|one| one.source != bellpull_config::Source::Default);
    say(ok("settings", format!("{} are not the default", set.count())))?;
    say(database(&config).await)?;
    if config.auth.has_issuer() {
        say(own_accounts(&config).await)?;
    }
    say(redis(&config).await)?;
    say(address("listen", config.listen))?;
    if let Some(at) = config.operator_listen {
        say(address("operator.listen", at))?;
    }
    say(certificate(&config))?;
    say(open_files(&config))?;
    say(mail(&config, args.mail.as_deref()).await)?;
    say(match &config.delivery.whatsapp {
        Some(whatsapp) => tried("WhatsApp", reach::whatsapp(whatsapp).await),
        None => off("WhatsApp", "whatsapp.token is not set"),
    })?;
    say(match &config.delivery.sms {
        Some(sms) => tried("SMS", reach::sms(sms).await),
        None => off("SMS", "sms.account is not set"),
    })?;
    say(match &config.delivery.push {
        // Settings that cannot be used were refused above.
        Some(_) => ok("web push", "the key can be used".to_owned()),
        None => off("web push", "vapid.private_key is not set"),
    })?;
    say(public_url(&config).await)?;
    if let Some(url) = &args.webhook {
        say(webhook(url).await)?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(CliError::failed("1 check failed")),
        more => Err(CliError::failed(format!("{more} checks failed"))),
    }
}

/// Whether the hub on this machine is ready, as a proxy would ask it.
async fn running(config: &Config) -> Result<(), CliError> {
    let mut at = config.listen;
    if at.ip().is_unspecified() {
        at.set_ip(match at {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let own = config.tls.as_ref().map(Own::read).transpose()?;
    let client = hub_client(own).timeout(CALL_MAX).build();
    let url = format!("{}://{at}/readyz/", config.scheme());
    let asked = async { client?.get(url).send().await };
    match asked.await {
        Ok(answer) if answer.status().is_success() => print_line(&format!("{at} is ready")),
        Ok(answer) => Err(CliError::failed(format!("{at} is not ready: {}", answer.status()))),
        Err(_) => Err(CliError::failed(format!("no hub answers at {at}"))),
    }
}

fn ok(check: &'static str, detail: String) -> Line {
    Line { check, state: State::Ok, detail }
}

fn off(check: &'static str, why: &str) -> Line {
    Line { check, state: State::Off, detail: why.to_owned() }
}

fn tried(check: &'static str, outcome: Result<String, String>) -> Line {
    match outcome {
        Ok(detail) => ok(check, detail),
        Err(detail) => Line { check, state: State::Failed, detail },
    }
}

fn drawn(line: &Line) -> String {
    let Line { check, state, detail } = line;
    let word = match state {
        State::Ok => "ok",
        State::Off => "off",
        State::Failed => "FAILED",
    };
    let word = format!("{word:<6}");
    let is_plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let word = match state {
        _ if is_plain => word,
        State::Ok => word.green().to_string(),
        State::Off => word.dimmed().to_string(),
        State::Failed => word.red().bold().to_string(),
    };
    format!("{word}  {check:<15}  {detail}")
}

async fn database(config: &Config) -> Line {
    let url = config.database_url.reveal();
    match bellpull_storage::look_at(url, config.database_check_max_bytes).await {
        Ok(Looked::Usable(text)) => ok("database", text),
        Ok(Looked::Absent) => {
            off("database", &format!("{} does not exist: `serve` makes it", config.database_url))
        }
        Err(why) => tried("database", Err(why)),
    }
}

/// The accounts that another issuer's tokens do not open.
async fn own_accounts(config: &Config) -> Line {
    const CHECK: &str = "accounts";
    match bellpull_storage::own_below_apart(config.database_url.reveal(), OWN_SHOWN_MAX + 1).await {
        Ok(own) => match shown_own(&own) {
            None => ok(CHECK, "none of the hub's own has a number of the issuer's".to_owned()),
            Some(own) => off(
                CHECK,
                &format!(
                    "the hub's own, which no token of the issuer's opens: {own}; `bellpull user adopt \
                 --id N` hands one over"
                ),
            ),
        },
        Err(_) => off(CHECK, "not known before `serve` or `migrate` has made the tables"),
    }
}

async fn redis(config: &Config) -> Line {
    let Some(url) = &config.redis_url else { return off("Redis", "redis_url is not set") };
    let heard = async {
        RedisBroker::reach(url.reveal()).await?;
        match cluster(config).await {
            Some(cluster) => bellpull_broker::listen(url.reveal(), &cluster).await.map(Some),
            None => Ok(None),
        }
    };
    match heard.await {
        Ok(None) => ok("Redis", "takes messages".to_owned()),
        Ok(Some((nodes, refused))) => publishers(nodes, refused),
        Err(error) => tried("Redis", Err(error.to_string())),
    }
}

/// The nodes of the configured database, if it has been used.
async fn cluster(config: &Config) -> Option<Cluster> {
    let known = bellpull_storage::identity(config.database_url.reveal()).await?;
    let configured = config.jwt_secret.as_ref().map(|secret| secret.reveal().to_owned());
    let secret = configured.or(known.stored_secret)?;
    Some(Cluster::new(&known.epoch, &known.database, &secret))
}

/// Who publishes on the nodes' topic.
fn publishers(nodes: usize, refused: RefusedMessages) -> Line {
    let RefusedMessages { unsealed, other_database, forged, .. } = refused;
    let detail = format!("takes messages, {nodes} nodes of this database publish");
    match () {
        () if other_database > 0 => tried(
            "Redis",
            Err("nodes on a copy of this database use it, too: give them another Redis".to_owned()),
        ),
        () if forged > 0 => tried(
            "Redis",
            Err("nodes with another jwt_secret, or a client that is no node, publish".to_owned()),
        ),
        () if unsealed > 0 => {
            ok("Redis", format!("{detail}; so do nodes of an older release, or other clients"))
        }
        () => ok("Redis", detail),
    }
}

impl From<BadFiles> for CliError {
    fn from(bad: BadFiles) -> Self {
        Self::wrong(format!("{}: {bad}", bad.setting))
    }
}

/// A hub that runs has it: that is no failure.
fn address(check: &'static str, at: SocketAddr) -> Line {
    match TcpListener::bind(at) {
        Ok(_) => ok(check, format!("{at} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            ok(check, format!("{at} is in use; a second hub would need another address"))
        }
        Err(error) => tried(check, Err(format!("{at}: {error}"))),
    }
}

/// Whether clients would be shown a valid certificate.
fn certificate(config: &Config) -> Line {
    const CHECK: &str = "TLS";
    let Some(files) = config.tls.clone() else {
        return off(CHECK, "tls.cert is not set: plain HTTP");
    };
    let certificate = match Certificate::load(files) {
        Ok(certificate) => certificate,
        Err(bad) => return tried(CHECK, Err(format!("{}: {bad}", bad.setting))),
    };
    match certificate.expires_at() > SystemClock.now() {
        true => ok(CHECK, format!("the certificate is {certificate}")),
        false => tried(CHECK, Err(format!("the certificate was {certificate}"))),
    }
}

fn open_files(config: &Config) -> Line {
    let (files, wanted) = (bellpull_system::open_files::raise_limit(), config.ws.max_connections);
    let detail = format!("the process may open {files}; ws.max_connections is {wanted}");
    let is_enough = files >= u64::try_from(wanted).unwrap_or(u64::MAX);
    match is_enough {
        true => ok("open files", detail),
        false => off("open files", &format!("{detail}: further clients are refused sooner")),
    }
}

async fn mail(config: &Config, to: Option<&str>) -> Line {
    match (&config.delivery.smtp, to) {
        (Some(smtp), to) => tried("e-mail", reach::mail(smtp, to).await),
        (None, Some(_)) => tried("e-mail", Err("smtp.url is not set".to_owned())),
        (None, None) => off("e-mail", "smtp.url is not set"),
    }
}

/// Whether links lead to a hub, if one is running.
async fn public_url(config: &Config) -> Line {
    const CHECK: &str = "public URL";
    let Some(url) = &config.http.public_url else {
        return off(CHECK, "http.public_url is not set");
    };
    let client = bellpull_tls::outbound_client().timeout(CALL_MAX).build();
    let asked = async { client?.get(format!("{url}/healthz")).send().await };
    match asked.await {
        Ok(answer) if answer.status().is_success() => ok(CHECK, format!("a hub answers at {url}")),
        Ok(answer) => tried(CHECK, Err(format!("{url}/healthz answers {}", answer.status()))),
        Err(error) if error.is_connect() => off(CHECK, &format!("nothing listens at {url} yet")),
        Err(error) => tried(CHECK, Err(format!("{url}: {}", error.without_url()))),
    }
}

async fn webhook(url: &str) -> Line {
    let target =
        WebhookTarget { id: WebhookId(0), project: None, url: url.to_owned(), secrets: Vec::new() };
    // The operator names it, not a user.
    let outcome = match WebhookCaller::new(Outside::Any, CALL_MAX) {
        Ok(caller) => {
            let called = caller.ping(&target, "check", SystemClock.now()).await;
            let status = called.status.map_or_else(String::new, |status| format!("HTTP {status} "));
            match called.error {
                None => Ok(format!("{status}after {} ms", called.took_ms)),
                Some(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    tried("webhook", outcome)
}
