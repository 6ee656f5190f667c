//! What systemd is told: that the hub is ready, that it stops, and that it is alive.
//!
//! Without systemd (`NOTIFY_SOCKET` is not set) nothing is done.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Tells systemd that the hub serves, and from then on that it is alive.
#[derive(Debug)]
pub struct Service {
    watchdog: Option<JoinHandle<()>>,
}

impl Service {
    /// The hub serves at this URL.
    pub fn ready(url: &str) -> Self {
        tell(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {url}"))]);
        // `WatchdogSec=` of the unit. Twice as often: one may be late.
        let watchdog = sd_notify::watchdog_enabled().map(|within| tokio::spawn(beat(within / 2)));
        Self { watchdog }
    }

    /// The hub stops: what systemd waits for is `TimeoutStopSec=`.
    pub fn stopping(self) {
        if let Some(watchdog) = self.watchdog {
            watchdog.abort();
        }
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }
}

/// On the runtime that serves: one that hangs does not beat.
async fn beat(every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
