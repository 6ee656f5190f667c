//! The root's single permanent children: the scheduler, the channels' supervisor.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorCell, SpawnErr};
use tokio::sync::watch;

use super::root::{Permanent, REPORT_MAX};
use crate::channel::{ChannelSupervisor, ChannelsMessage};
use crate::directory::{Channels, Users};
pub(crate) use crate::limits::Retention;
use crate::observe::{ActorReport, TreeLog};
use crate::retention::RetentionSchedule;
use crate::scheduler::{Scheduler, SchedulerMessage};
use crate::sends::Sends;
use crate::supervisor::RestartRequest;
use crate::vitals::{Handle, Vitals};
use bellpull_port::call::{Call, CallOutcome};
use bellpull_port::{Clock, LeaseOwner, RetentionStore, SendStore, TicketStore};

/// The scheduler's place under the root.
#[derive(Debug)]
pub(super) struct SchedulerPlace {
    scheduler: Scheduler,
    slot: watch::Sender<Option<Handle<SchedulerMessage>>>,
}

/// The scheduler's slot, and its handle.
pub(super) fn scheduler(
    (store, owner): (Arc<dyn SendStore>, LeaseOwner),
    tickets: &Arc<dyn TicketStore>,
    users: &Users,
    clock: &Arc<dyn Clock>,
    (old, retention): (Arc<dyn RetentionStore>, Retention),
) -> (SchedulerPlace, Sends) {
    let (slot, up) = watch::channel(None);
    let (users, clock) = (users.clone(), Arc::clone(clock));
    let retention = RetentionSchedule {
        keys: Arc::clone(&store),
        store: old,
        clock: Arc::clone(&clock),
        retention,
        is_draining: Arc::clone(&users.is_draining),
    };
    let scheduler = Scheduler {
        store: Arc::clone(&store),
        owner: owner.clone(),
        users: users.clone(),
        clock: Arc::clone(&clock),
        retention,
    };
    let projects = Arc::clone(tickets);
    (SchedulerPlace { scheduler, slot }, Sends::new((store, owner), projects, users, clock, up))
}

impl SchedulerPlace {
    /// The scheduler's path, and its kind.
    pub(super) const PATH: &str = "scheduler";
}

#[async_trait]
impl Permanent for SchedulerPlace {
    fn path(&self) -> String {
        Self::PATH.to_owned()
    }

    fn kind(&self) -> &'static str {
        Self::PATH
    }

    async fn spawn(&self, _log: &Arc<TreeLog>, root: ActorCell) -> Result<ActorCell, SpawnErr> {
        let vitals = Vitals::new();
        let args = Arc::clone(&vitals);
        let (actor, _) = Actor::spawn_linked(None, self.scheduler.clone(), args, root).await?;
        let (cell, handle) = (actor.get_cell(), Handle::new(actor, vitals));
        self.slot.send_replace(Some(handle.clone()));
        // Only now: a send that was accepted before the scheduler could be found is seen by this
        // check.
        handle.cast(SchedulerMessage::Look);
        Ok(cell)
    }

    fn vitals(&self, path: &str) -> Option<Arc<Vitals>> {
        let up = self.slot.borrow();
        up.as_ref().filter(|_| path == Self::PATH).map(|up| Arc::clone(up.vitals()))
    }

    fn report(&self, _most: usize) -> BoxFuture<'static, Option<ActorReport>> {
        let scheduler = self.slot.borrow().clone();
        Box::pin(async move {
            let scheduler = scheduler?;
            let (call, answer) = Call::new(());
            scheduler.cast(SchedulerMessage::Observe(call));
            let CallOutcome::Answered(observed) = answer.within(REPORT_MAX).await else {
                return None;
            };
            let path = Self::PATH.to_owned();
            let report = ActorReport::new(path, Self::PATH, scheduler.vitals(), None);
            Some(ActorReport { observed, ..report })
        })
    }
}

/// The channels' place under the root.
#[derive(Debug)]
struct ChannelsPlace {
    supervisor: ChannelSupervisor,
    slot: watch::Sender<Option<Handle<ChannelsMessage>>>,
}

/// The channels' place, where any channel is switched on.
pub(super) fn channels(channels: &Channels, log: &Arc<TreeLog>) -> Option<Box<dyn Permanent>> {
    let supervisor = ChannelSupervisor { channels: channels.clone(), log: Arc::clone(log) };
    let place = ChannelsPlace { supervisor, slot: watch::channel(None).0 };
    (!channels.places.is_empty()).then(|| Box::new(place) as Box<dyn Permanent>)
}

#[async_trait]
impl Permanent for ChannelsPlace {
    fn path(&self) -> String {
        ChannelSupervisor::PATH.to_owned()
    }

    fn kind(&self) -> &'static str {
        "supervisor"
    }

    async fn spawn(&self, _log: &Arc<TreeLog>, root: ActorCell) -> Result<ActorCell, SpawnErr> {
        let vitals = Vitals::new();
        let args = Arc::clone(&vitals);
        let (actor, _) = Actor::spawn_linked(None, self.supervisor.clone(), args, root).await?;
        let cell = actor.get_cell();
        self.slot.send_replace(Some(Handle::new(actor, vitals)));
        Ok(cell)
    }

    fn vitals(&self, path: &str) -> Option<Arc<Vitals>> {
        if path == ChannelSupervisor::PATH {
            return self.slot.borrow().as_ref().map(|up| Arc::clone(up.vitals()));
        }
        let mut places = self.supervisor.channels.places.iter();
        let place = places.find(|place| place.path() == path)?;
        place.up().map(|up| Arc::clone(up.vitals()))
    }

    fn restart_below(&self, call: RestartRequest<String>) {
        // While it is down the question returns unanswered, with the mail.
        if let Some(supervisor) = &*self.slot.borrow() {
            supervisor.cast(ChannelsMessage::Restart(call));
        }
    }

    fn report(&self, most: usize) -> BoxFuture<'static, Option<ActorReport>> {
        let supervisor = self.slot.borrow().clone();
        Box::pin(async move {
            let (call, answer) = Call::new(most);
            supervisor?.cast(ChannelsMessage::Report(call));
            match answer.within(REPORT_MAX).await {
                CallOutcome::Answered(report) => Some(report),
                CallOutcome::Returned(_) | CallOutcome::Lost => None,
            }
        })
    }
}
