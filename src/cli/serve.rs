//! `serve`: runs the hub until it is told to stop.

use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::{CliError, SettingFlags, print_line};
use crate::app::{App, StartError};
use bellpull_config::Config;
use bellpull_system::open_files;
use bellpull_system::service::Service;
use bellpull_telemetry as telemetry;
use bellpull_telemetry::traces::init_traces;
use bellpull_tls::set_outbound;

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
    set_outbound(&config.outbound).map_err(|bad| CliError::wrong(bad.to_string()))?;
    if config.log_json {
        telemetry::log_panics();
    }
    telemetry::init_metrics();
    let (files, connections_max) = (open_files::raise_limit(), config.ws.max_connections);
    let mut signals = Signals::listen()?;
    let (public_url, otlp) = (config.http.public_url.clone(), config.otlp.clone());
    let Some(app) = signals.unless_told_to_stop(App::start(config)).await? else {
        info!("told to stop while starting");
        return Ok(());
    };
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

/// The signals of a hub: SIGTERM, SIGINT and SIGQUIT stop it, SIGHUP has it read its certificate
/// anew, and the others whose default would end the process without a drain do nothing. They are
/// handled before it starts: a process that reads the first line may send one at once, and the hub
/// must stop properly.
#[derive(Debug)]
pub struct Signals {
    stop: [Signal; 3],
    reload: Signal,
}

/// The signals that a user or a tool may send by mistake; a handler that does nothing is not
/// inherited by programs that the hub starts.
const IGNORED: [SignalKind; 5] = [
    SignalKind::user_defined1(),
    SignalKind::user_defined2(),
    SignalKind::alarm(),
    SignalKind::io(),
    // SIGVTALRM: a timer, like SIGALRM.
    SignalKind::from_raw(26),
];

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
        for kind in IGNORED {
            // A handler stays when nothing waits for its signal any more.
            drop(of(kind)?);
        }
        let stop =
            [of(SignalKind::terminate())?, of(SignalKind::interrupt())?, of(SignalKind::quit())?];
        Ok(Self { stop, reload: of(SignalKind::hangup())? })
    }

    /// Waits for a signal that stops the hub.
    pub(super) async fn received(&mut self) {
        let [terminate, interrupt, quit] = &mut self.stop;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
        }
    }

    /// Does it, unless a signal ends it before: then nothing of it is waited for, like a migration
    /// behind another program's lock. It runs beside, so that it cannot hold up the signal.
    async fn unless_told_to_stop<T: Send + 'static, E: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<Option<T>, CliError>
    where
        CliError: From<E>,
    {
        let mut working = tokio::spawn(work);
        tokio::select! {
            done = &mut working => match done {
                Ok(done) => Ok(Some(done?)),
                Err(error) => Err(CliError::failed(error.to_string())),
            },
            () = self.received() => {
                working.abort();
                Ok(None)
            }
        }
    }

    /// Waits for a signal or an operator's request to stop, or for the supervision tree to fail;
    /// returns whether it failed.
    pub(super) async fn until_told_to_stop(&mut self, app: &App) -> bool {
        let (mut drained, mut escalated) =
            (pin!(app.nodes().told_to_drain()), pin!(app.hub().escalated()));
        loop {
            let [terminate, interrupt, quit] = &mut self.stop;
            tokio::select! {
                () = &mut drained => return false,
                _ = terminate.recv() => return false,
                _ = interrupt.recv() => return false,
                _ = quit.recv() => return false,
                () = &mut escalated => return true,
                _ = self.reload.recv() => app.reload(),
            }
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        Self::wrong(error.to_string())
    }
}
