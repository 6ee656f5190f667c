//! The root's permanent child that is no supervisor: the scheduler.

use ractor::{Actor, ActorCell, ActorProcessingErr};
use tokio::sync::watch;

use super::root::REPORT_MAX;
use crate::mail::{Fate, Mail};
use crate::observe::ActorReport;
use crate::scheduler::{Scheduler, SchedulerMessage};
use crate::vitals::{Handle, Vitals};

/// The scheduler's place under the root.
#[derive(Debug)]
pub(super) struct SchedulerPlace {
    pub(super) scheduler: Scheduler,
    pub(super) slot: watch::Sender<Option<Handle<SchedulerMessage>>>,
}

impl SchedulerPlace {
    /// The scheduler's path, and its kind.
    pub(super) const PATH: &str = "scheduler";

    pub(super) async fn spawn(&self, root: ActorCell) -> Result<ActorCell, ActorProcessingErr> {
        let vitals = Vitals::new();
        let args = std::sync::Arc::clone(&vitals);
        let (actor, _) = Actor::spawn_linked(None, self.scheduler.clone(), args, root).await?;
        let (cell, handle) = (actor.get_cell(), Handle::new(actor, vitals));
        self.slot.send_replace(Some(handle.clone()));
        // Only now: what was taken in before it could be found is seen by this look.
        handle.cast(SchedulerMessage::Look);
        Ok(cell)
    }

    /// Asks it for its report; the answer comes to the returned future.
    pub(super) fn report(&self) -> impl Future<Output = Option<ActorReport>> + Send + 'static {
        let scheduler = self.slot.borrow().clone();
        async move {
            let scheduler = scheduler?;
            let (mail, answer) = Mail::new(());
            scheduler.cast(SchedulerMessage::Observe(mail));
            let Fate::Answered(observed) = answer.within(REPORT_MAX).await else { return None };
            let path = Self::PATH.to_owned();
            let report = ActorReport::new(path, Self::PATH, scheduler.vitals(), None);
            Some(ActorReport { observed, ..report })
        }
    }
}
