//! A standby takes the place of PostgreSQL: one that has everything, or one that lags behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::fault::LANES;
use super::super::manner::{Flow, Pace};
use super::Arena;
use super::lines::Lines;
use crate::LoadError;
use crate::cluster::Postgres;

/// How long writers may take to finish what they build on earlier writes.
const FINISH: Duration = Duration::from_secs(120);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(20);
/// A standby that is connected is not farther behind than this, in milliseconds.
const BEHIND_MS: usize = 2_000;

impl Arena<'_> {
    /// A standby follows PostgreSQL, which waits for it, and takes its place.
    pub(super) async fn fail_over(&mut self, time: Duration) -> Result<(), LoadError> {
        let postgres = &self.services()?.postgres;
        let standby = postgres.standby(postgres.address()).await?;
        postgres.wait_for_standby().await?;
        self.pass(time).await?;
        self.replace(standby).await
    }

    /// A standby follows PostgreSQL until its connection carries nothing, and takes its place
    /// later: what was acknowledged meanwhile is lost. Only messages are sent meanwhile.
    pub(super) async fn fail_over_behind(&mut self, time: Duration) -> Result<(), LoadError> {
        let postgres = &self.services()?.postgres;
        let way = Lines::to(postgres.address()).await?;
        let standby = postgres.standby(way.address()).await?;
        self.pace.send_replace(Pace::Lull);
        let deadline = Instant::now() + FINISH;
        while self.tempo.busy.load(Ordering::Relaxed) > 0 {
            if Instant::now() > deadline {
                return Err(LoadError::failed("writers do not finish"));
            }
            self.pass(LOOK).await?;
        }
        // What the writers have finished is not lost, however slow this machine is.
        self.services()?.postgres.wait_until_followed().await?;
        let from = self.tempo.now().saturating_sub(BEHIND_MS);
        let held = Flow::Held { to_node: true, to_client: true };
        (0..LANES).for_each(|lane| way.set(lane, held));
        self.pass(time).await?;
        self.replace(standby).await?;
        self.lags.push(from..self.tempo.now());
        self.pace.send_replace(Pace::Usual);
        Ok(())
    }

    /// PostgreSQL dies, and the standby is in its place.
    async fn replace(&mut self, standby: Postgres) -> Result<(), LoadError> {
        let postgres = &mut self.services()?.postgres;
        let (old, new) = (postgres.address(), standby.address());
        postgres.crash().await?;
        standby.promote().await?;
        std::mem::replace(postgres, standby).discard();
        self.database = self.database.replace(&old.to_string(), &new.to_string());
        self.database()?.lead_to(new);
        Ok(())
    }
}
