//! What each fault does, and how it ends.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::fault::{
    CRASHES, Fault, FaultKind, HALF_OPEN, LANES, SLOW, garbage, latency, line, silence,
};
use super::super::manner::{Flow, Manner, Pace};
use super::lines::Lines;
use super::site::Backing;
use super::{Arena, DRAIN, actors};
use crate::LoadError;
use crate::cluster::Services;

/// How long writers write without a pause before PostgreSQL crashes and after it runs again, in
/// milliseconds: until a node asks what became of its commit, others write.
const RUSH_BEFORE_MS: std::ops::Range<u64> = 200..1_000;
const RUSH_AFTER: Duration = Duration::from_millis(1_000);
/// How often it is looked whether a node is free for a fault.
const LOOK: Duration = Duration::from_millis(200);

/// The end of a fault that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// A frozen node is woken.
    Wake(usize),
    /// Redis is started again.
    Redis,
    /// A share of the lines to a node carries everything again, or is cut.
    Line { node: usize, lane: usize, is_cut: bool },
    /// The provider accepts calls again.
    Provider,
    /// The connections to PostgreSQL are as they should be, after these ends of those that are
    /// open.
    Database { is_for_good: bool, is_cut: bool },
    /// The nodes on a copy end.
    Copy,
}

impl Arena<'_> {
    /// Lets a fault happen, after its pause.
    ///
    /// # Errors
    /// What was stopped does not start again.
    pub(in super::super) async fn suffer(&mut self, fault: &Fault) -> Result<(), LoadError> {
        self.pass(fault.after).await?;
        match fault.kind {
            FaultKind::Kill => {
                let node = self.free(fault.target).await?;
                self.nodes[node].kill().await?;
                self.pass(fault.time).await?;
                self.database_answers().await?;
                self.nodes[node].start().await
            }
            FaultKind::Freeze => {
                let node = self.free(fault.target).await?;
                self.nodes[node].freeze()?;
                self.undo_after(fault.time, Undo::Wake(node));
                Ok(())
            }
            FaultKind::Rolling => self.roll().await,
            FaultKind::Redis => {
                self.services()?.redis.kill().await?;
                self.pending.retain(|(_, undo)| *undo != Undo::Redis);
                self.undo_after(fault.time, Undo::Redis);
                Ok(())
            }
            FaultKind::Postgres => self.services()?.postgres.restart().await,
            FaultKind::Crash => self.crash(fault).await,
            FaultKind::Cut => {
                self.database()?.cut(fault.target);
                Ok(())
            }
            FaultKind::Silence => self.silence(fault),
            FaultKind::Latency => self.stretch(fault),
            FaultKind::Garbage => {
                let (what, seed) = garbage(fault.target);
                self.babble(what, Rng::with_seed(seed), fault.time).await
            }
            FaultKind::Failover => self.fail_over(fault.time).await,
            FaultKind::Lag => self.fail_over_behind(fault.time).await,
            FaultKind::Copy => self.copy(fault).await,
            FaultKind::Panic => {
                let node = self.free(fault.target % self.nodes.len().max(1)).await?;
                let mut rng = Rng::with_seed(u64::try_from(fault.target).unwrap_or_default());
                let (node, token) = (&self.nodes[node], &self.people.checker.token);
                let found = actors::kill(node.address(), node.name(), token, &mut rng).await;
                self.surprises.extend(found);
                Ok(())
            }
            FaultKind::Slow => {
                let (node, lane, flow) = line(fault.target, &SLOW);
                self.disturb(node, lane, flow, false, fault.time);
                Ok(())
            }
            FaultKind::HalfOpen => {
                let (node, lane, (flow, is_cut)) = line(fault.target, &HALF_OPEN);
                self.disturb(node, lane, flow, is_cut, fault.time);
                Ok(())
            }
            FaultKind::Disk | FaultKind::Clock | FaultKind::Files => {
                let node = self.free(fault.target % self.nodes.len().max(1)).await?;
                self.inner.begin(fault.kind, fault.target, self.nodes[node].pid())?;
                self.pass(fault.time).await?;
                self.inner.end()
            }
            FaultKind::Provider => {
                self.receiver.set(Manner::FAULTS[fault.target % Manner::FAULTS.len()]);
                self.pending.retain(|(_, undo)| *undo != Undo::Provider);
                self.undo_after(fault.time, Undo::Provider);
                Ok(())
            }
        }
    }

    /// A share of the lines to a node carries only this for a time; an earlier fault of that share
    /// ends.
    fn disturb(&mut self, node: usize, lane: usize, flow: Flow, is_cut: bool, time: Duration) {
        let Some(lines) = self.lines.get(node) else { return };
        lines.set(lane, flow);
        let is_same = |undo: &Undo| match undo {
            Undo::Line { node: one, lane: other, .. } => (*one, *other) == (node, lane),
            Undo::Wake(_) | Undo::Redis | Undo::Provider | Undo::Database { .. } | Undo::Copy => {
                false
            }
        };
        self.pending.retain(|(_, undo)| !is_same(undo));
        self.undo_after(time, Undo::Line { node, lane, is_cut });
    }

    /// PostgreSQL crashes while all writers write, and starts again.
    async fn crash(&mut self, fault: &Fault) -> Result<(), LoadError> {
        self.pace.send_replace(Pace::Rush);
        let mut rng = Rng::with_seed(u64::try_from(fault.time.as_millis()).unwrap_or_default());
        self.pass(Duration::from_millis(rng.u64(RUSH_BEFORE_MS))).await?;
        let postgres = &mut self.services()?.postgres;
        match fault.target % CRASHES {
            0 => postgres.kill().await?,
            _ => postgres.crash().await?,
        }
        self.pass(fault.time).await?;
        self.services()?.postgres.resume().await?;
        self.pass(RUSH_AFTER).await?;
        self.pace.send_replace(Pace::Usual);
        Ok(())
    }

    /// Connections to PostgreSQL fall silent; an earlier fault of them ends.
    fn silence(&mut self, fault: &Fault) -> Result<(), LoadError> {
        let (how, lanes) = silence(fault.target);
        let lines = self.database()?;
        for lane in 0..LANES {
            let is_silent = lanes.contains(&lane);
            if is_silent && how.is_for_good {
                lines.silence(lane);
            }
            lines.set(lane, if is_silent { how.flow } else { Flow::Free });
            lines.refuse(lane, is_silent && how.refuses);
        }
        // Those that are opened meanwhile fall silent at its end, if they were.
        let is_for_good = how.is_for_good && how.flow != Flow::Free;
        self.database_well_after(fault.time, is_for_good, how.is_cut);
        Ok(())
    }

    /// PostgreSQL is farther away; an earlier fault of its connections ends.
    fn stretch(&mut self, fault: &Fault) -> Result<(), LoadError> {
        let late = Flow::Late(latency(fault.target));
        let lines = self.database()?;
        for lane in 0..LANES {
            lines.set(lane, late);
            lines.refuse(lane, false);
        }
        self.database_well_after(fault.time, false, false);
        Ok(())
    }

    fn database_well_after(&mut self, time: Duration, is_for_good: bool, is_cut: bool) {
        self.pending.retain(|(_, undo)| !matches!(undo, Undo::Database { .. }));
        self.undo_after(time, Undo::Database { is_for_good, is_cut });
    }

    /// Restarts one node after the other, but those that are frozen.
    async fn roll(&mut self) -> Result<(), LoadError> {
        for node in 0..self.nodes.len() {
            if self.is_frozen(node) && self.nodes.len() > 1 {
                continue;
            }
            let node = self.free(node).await?;
            self.database_answers().await?;
            self.nodes[node].terminate()?;
            let status = self.nodes[node].exited(DRAIN).await?;
            if !status.success() {
                let text = format!("node {node} ended with {status} after SIGTERM");
                self.surprises.push(text);
            }
            self.nodes[node].start().await?;
        }
        Ok(())
    }

    pub(super) fn services(&mut self) -> Result<&mut Services, LoadError> {
        match &mut self.backing {
            Backing::Services { services, .. } => Ok(services),
            Backing::File => Err(LoadError::failed("one node has no services")),
        }
    }

    pub(super) fn database(&self) -> Result<&Lines, LoadError> {
        match &self.backing {
            Backing::Services { database, .. } => Ok(database),
            Backing::File => Err(LoadError::failed("one node has no services")),
        }
    }

    /// Waits until PostgreSQL is neither silent nor far away: no node starts meanwhile.
    pub(super) async fn database_answers(&mut self) -> Result<(), LoadError> {
        let is_away = |(_, undo): &&(Instant, Undo)| matches!(undo, Undo::Database { .. });
        while let Some((end, _)) = self.pending.iter().find(is_away) {
            let left = end.saturating_duration_since(Instant::now());
            self.pass(left).await?;
        }
        Ok(())
    }

    /// Waits until every fault is over and all nodes are ready.
    ///
    /// # Errors
    /// A node does not become ready.
    pub(in super::super) async fn recover(&mut self) -> Result<(), LoadError> {
        while let Some(end) = self.pending.iter().map(|(end, _)| *end).max() {
            sleep_until(end).await;
            self.end_due().await?;
        }
        for node in self.nodes.iter_mut() {
            node.until_ready().await?;
        }
        Ok(())
    }

    /// That node, or the next one that is not frozen; of several, one must be left for the clients.
    async fn free(&mut self, node: usize) -> Result<usize, LoadError> {
        let count = self.nodes.len();
        let frozen = |arena: &Self| (0..count).filter(|node| arena.is_frozen(*node)).count();
        while frozen(self) + 1 >= count.max(2) {
            self.pass(LOOK).await?;
        }
        let next = (0..count).map(|n| (node + n) % count).find(|node| !self.is_frozen(*node));
        next.ok_or_else(|| LoadError::failed("all nodes are frozen"))
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.pending.iter().any(|(_, undo)| *undo == Undo::Wake(node))
    }

    pub(super) fn undo_after(&mut self, time: Duration, undo: Undo) {
        self.pending.push((Instant::now() + time, undo));
    }

    /// Lets time pass, in which faults end.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + time;
        loop {
            self.end_due().await?;
            let next = self.pending.iter().map(|(end, _)| *end).min();
            match next.filter(|next| *next < end) {
                Some(next) => sleep_until(next).await,
                None => {
                    sleep(end.saturating_duration_since(Instant::now())).await;
                    return self.end_due().await;
                }
            }
        }
    }

    async fn end_due(&mut self) -> Result<(), LoadError> {
        let now = Instant::now();
        let is_due = |(end, _): &mut (Instant, Undo)| *end <= now;
        let due: Vec<(Instant, Undo)> = self.pending.extract_if(.., is_due).collect();
        for (_, undo) in due {
            match undo {
                Undo::Wake(node) => self.nodes[node].wake()?,
                Undo::Redis => self.services()?.redis.resume().await?,
                Undo::Line { node, lane, is_cut } => {
                    if let Some(lines) = self.lines.get(node) {
                        lines.set(lane, Flow::Free);
                        if is_cut {
                            lines.cut(lane);
                        }
                    }
                }
                Undo::Provider => self.receiver.set(Manner::Well),
                Undo::Database { is_for_good, is_cut } => {
                    let lines = self.database()?;
                    for lane in 0..LANES {
                        if is_for_good {
                            lines.silence(lane);
                        }
                        if is_cut {
                            lines.cut(lane);
                        }
                        lines.refuse(lane, false);
                        lines.set(lane, Flow::Free);
                    }
                }
                Undo::Copy => self.copies = None,
            }
        }
        Ok(())
    }
}
