//! `serve`: runs the hub until it is told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::{CliError, SettingFlags, print_line};
use crate::app::{App, StartError};
use crate::config::Config;
use crate::service::Service;
use crate::telemetry::traces::init_traces;
use crate::{open_files, telemetry};

const EXAMPLES: &str = "\
Examples:
  bellpull serve
  bellpull serve --listen 127.0.0.1:0 --database sqlite::memory:
  BELLPULL_HTTP_ALLOWED_ORIGINS=https://app.example.com bellpull serve --log json

The same in bellpull.toml:
  listen = \"127.0.0.1:8000\"
  [http]
  allowed_origins = [\"https://app.example.com\"]

A flag counts before its variable, a variable before the file, the file before the default.";

/// The options of `serve`: every setting.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    settings: SettingFlags<true>,
}

impl Args {
    /// The validated settings; starts the log.
    ///
    /// # Errors
    /// [`CliError::Wrong`].
    pub fn load(self) -> Result<Config, CliError> {
        self.settings.load()
    }
}

/// Runs the hub until it is told to stop. The first line on stdout is its address, the log shows
/// the console's URL.
///
/// # Errors
/// Why it did not start (the setting), or that its supervision tree failed.
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.load()?;
    telemetry::init_metrics();
    let (files, connections_max) = (open_files::raise_limit(), config.ws.max_connections);
    let signals = Signals::listen()?;
    let (public_url, otlp) = (config.http.public_url.clone(), config.otlp.clone());
    let app = App::start(config).await?;
    let traces = otlp.map(|otlp| init_traces(&otlp, app.nodes().name())).transpose();
    let traces = traces.map_err(|error| CliError::wrong(format!("otlp.endpoint: {error}")))?;
    open_files::check_limit(files, connections_max);
    print_line(&format!("listening on {}", app.url()))?;
    info!("the console is at {}/console/", public_url.unwrap_or_else(|| app.url()));
    let ended = attend(app, signals).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    ended
}

/// Runs a hub until it is told to stop or its supervision tree fails, and stops it.
///
/// # Errors
/// [`CliError::Failed`] if the tree failed.
pub async fn attend(app: App, mut signals: Signals) -> Result<(), CliError> {
    let service = Service::ready(&app.url());
    let gave_up = signals.until_told_to_stop(&app).await;
    info!("stopping");
    service.stopping();
    app.stop().await;
    if gave_up {
        return Err(CliError::failed("the supervision tree gave up; the log says why"));
    }
    Ok(())
}

/// The signals that stop a hub. They are handled before it starts: a process that reads the first
/// line may send one at once, and the hub must stop properly.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// [`CliError::Failed`] if the system refuses.
    pub fn listen() -> Result<Self, CliError> {
        let of = |kind| {
            signal(kind)
                .map_err(|error| CliError::failed(format!("signals cannot be received: {error}")))
        };
        let (terminate, interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    /// Waits for SIGTERM or SIGINT.
    #[cfg(feature = "load")]
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for SIGTERM, SIGINT or an operator's request to stop, or for the supervision tree to
    /// fail; returns whether it failed.
    pub(super) async fn until_told_to_stop(&mut self, app: &App) -> bool {
        tokio::select! {
            () = app.nodes().told_to_drain() => false,
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
            () = app.hub().escalated() => true,
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        Self::wrong(error.to_string())
    }
}
