//! A dynamic supervisor's report of itself and its children for operators.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::time::Instant;

use super::entity::{Entity, Message, Protocol};
use super::{DynamicSupervisor, SupervisorState};
use crate::observe::ActorReport;
use crate::vitals::{Handle, Vitals};
use bellpull_port::call::{Call, CallOutcome, Reply};

/// How long a child may take to report its state; the report goes on without it.
const OBSERVE_MAX: Duration = Duration::from_millis(500);

/// A child's report as far as its supervisor can make it, and the child itself where it is up.
type Draft<E> = (ActorReport, Option<Handle<Message<E>>>);

impl<E: Entity> DynamicSupervisor<E> {
    /// Answers with its own report, and those of the children that are kept down and of the
    /// busiest others.
    pub(super) fn report(&self, call: Call<usize, ActorReport>, state: &SupervisorState<E>) {
        let Some((most, reply)) = call.open() else { return };
        let mut own = ActorReport::new(self.path.clone(), "supervisor", &state.vitals, None);
        let mut drafts: Vec<Draft<E>> = state
            .failures
            .down(Instant::now())
            .map(|(id, record)| {
                let vitals = Vitals::new();
                let path = Self::child_path(id);
                let mut report = ActorReport::new(path, <E::Protocol>::KIND, &vitals, Some(record));
                report.state = "backing_off";
                (report, None)
            })
            .collect();
        own.children_total = state.children.len() + drafts.len();
        for id in state.children.iter().copied() {
            if let Some(actor) = self.live.get(&id) {
                let record = state.failures.of(id);
                let path = Self::child_path(id);
                let report = ActorReport::new(path, <E::Protocol>::KIND, actor.vitals(), record);
                drafts.push((report, Some(actor.clone())));
            }
        }
        drafts.sort_by_key(|(report, child)| {
            Reverse((child.is_none(), report.restarts, report.mailbox_depth, report.handled))
        });
        drafts.truncate(most);
        tokio::spawn(observe_all::<E>(own, drafts, reply));
    }
}

/// Requests each child's report, without the supervisor waiting for slow ones.
async fn observe_all<E: Entity>(
    mut own: ActorReport,
    drafts: Vec<Draft<E>>,
    reply: Reply<usize, ActorReport>,
) {
    let ask = |(mut report, child): Draft<E>| async move {
        let Some(child) = child else { return report };
        let (call, answer) = Call::new(());
        child.cast(<E::Protocol>::observe(call));
        match answer.within(OBSERVE_MAX).await {
            CallOutcome::Answered(observed) => report.observed = observed,
            CallOutcome::Returned(()) => report.state = "stopping",
            CallOutcome::Lost => report.state = "busy",
        }
        report
    };
    own.children = futures_util::future::join_all(drafts.into_iter().map(ask)).await;
    reply.send(own);
}
