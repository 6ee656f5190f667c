//! Handles to the project actors.

use std::sync::Arc;

use super::{Directory, Unanswered};
use crate::messages::{NoSubscription, ProjectMessage, ProjectProtocol, Subscribe};
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::presence::PresenceNews;
use bellpull_domain::stream::TicketNews;
use bellpull_domain::ticket::{Caller, Membership};
use bellpull_port::in_time;
use bellpull_port::{Broker, BrokerMessage, StoreError, TicketStore};

/// Handles to the project actors.
#[derive(Debug, Clone)]
pub struct Projects {
    pub(crate) directory: Directory<ProjectProtocol>,
    pub(crate) store: Arc<dyn TicketStore>,
    pub(crate) broker: Arc<dyn Broker>,
}

impl Projects {
    /// Messages that wait in their mailboxes.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.directory.waiting()
    }

    /// Subscribes. The right is checked before and again after the subscription stands: a right
    /// that is withdrawn in between is seen by the second check; one withdrawn later finds the
    /// subscription.
    pub(crate) async fn subscribe(
        &self,
        project: ProjectId,
        wish: Subscribe,
    ) -> Result<(), NoSubscription> {
        let caller = wish.caller.clone();
        self.check_right(project, &caller).await?;
        match self.directory.ask(project, wish, ProjectMessage::Subscribe).await {
            Ok(()) => self.check_right(project, &caller).await,
            Err(Unanswered::Returned(_) | Unanswered::Lost) => Err(NoSubscription::Unavailable),
        }
    }

    /// Sends news to the watchers of a project's tickets, on every node. Without watchers and other
    /// nodes this costs a lookup in a map.
    pub(crate) fn tell(&self, project: ProjectId, news: impl FnOnce() -> TicketNews) {
        if !self.broker.has_peers() {
            return self.tell_own(project, news);
        }
        let news = news();
        self.tell_own(project, || news.clone());
        self.broker.publish(BrokerMessage::ProjectNews { project, news: &news });
    }

    /// The same on this node alone.
    pub(crate) fn tell_own(&self, project: ProjectId, news: impl FnOnce() -> TicketNews) {
        if let Some(actor) = self.directory.live.get(&project) {
            actor.cast(ProjectMessage::Tell(news()));
        }
    }

    /// Events of other nodes were lost: this node's watchers of all projects' tickets begin anew.
    pub(crate) fn begin_anew_own(&self) {
        for actor in self.directory.live.iter() {
            actor.cast(ProjectMessage::BeginAnew);
        }
    }

    /// Passes another node's message about presence to the project's actor, if it runs here.
    pub(crate) fn tell_presence(&self, project: ProjectId, news: impl FnOnce() -> PresenceNews) {
        if let Some(actor) = self.directory.live.get(&project) {
            actor.cast(ProjectMessage::Presence(Box::new(news())));
        }
    }

    /// The user was removed from the project's members (call it after the commit): sockets for a
    /// single stream of the project are closed with 4403, other sessions are told that the stream
    /// has ended. Admins, who need not be members, are not affected.
    pub fn withdraw(&self, project: ProjectId, user: UserId) {
        self.withdraw_own(project, user);
        self.broker.publish(BrokerMessage::MemberRemoved { project, user });
    }

    /// The same on this node alone, for a change that each node reads or receives by itself.
    pub fn withdraw_own(&self, project: ProjectId, user: UserId) {
        if let Some(actor) = self.directory.live.get(&project) {
            actor.cast(ProjectMessage::Withdraw(user));
        }
    }

    async fn check_right(&self, project: ProjectId, caller: &Caller) -> Result<(), NoSubscription> {
        match in_time(membership(&*self.store, project, caller)).await {
            Ok(Some(Membership::Member)) => Ok(()),
            Ok(Some(Membership::NonMember) | None) => Err(NoSubscription::NoRight),
            Err(_) => Err(NoSubscription::Unavailable),
        }
    }
}

/// A user's membership in a project; `None` if there is no such project.
async fn membership(
    store: &dyn TicketStore,
    id: ProjectId,
    caller: &Caller,
) -> Result<Option<Membership>, StoreError> {
    let Some(project) = store.project(id).await? else { return Ok(None) };
    if project.is_open || caller.role.is_admin() || store.is_member(id, caller.id).await? {
        return Ok(Some(Membership::Member));
    }
    Ok(Some(Membership::NonMember))
}
