//! The project actor: the users on this node who watch a project, and the events for them.
//!
//! Its parent is a dynamic supervisor; it lives from the first subscription until a full rotation
//! of the wheel has passed without one. It owns the subscribers of the project's two streams and
//! the presence roster, and stores nothing: all events can be read elsewhere. When it panics or is
//! killed, dropping its state notifies every subscriber's actor, which subscribes again (presence)
//! or ends the sessions that may have missed an event (tickets).
//!
//! News are cast once to each user's actor, which passes them to its sessions. A subscription ends
//! when its [`Watch`] is dropped, wherever that is: with its session, with the user's actor, or in
//! the mailbox of a dead actor. So the roster has no users whose actor is gone.
//!
//! Limits: subscriptions per session (`user::streams`), tickets that a session types on
//! ([`bellpull_domain::presence`]), users shown to operators ([`SHOWN_MAX`]).

mod lines;
mod nodes;
mod sight;
mod subscriber;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::messages::{
    Parting, ProjectMessage, ProjectProtocol, StreamMessage, Subscribe, UserMessage, Watch, Watcher,
};
use crate::supervisor::{Entity, Parent};
use crate::vitals::{Handle, Vitals};
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::presence::{NodeKey, Roster};
use bellpull_domain::stream::{
    Present, SharedStreamEvent, StreamEvent, StreamKind, TicketAction, TicketNews,
};
use bellpull_domain::ticket::Membership;
use bellpull_port::call::Call;
use bellpull_port::{Broker, Clock, TicketStore};
use lines::Lines;
use nodes::Nodes;
use sight::{Shown, Sight};
use subscriber::Subscriber;

/// A project without watchers is passivated after this time at most.
const TURN_MAX: Duration = Duration::from_secs(5);

/// How many users of the roster operators are shown.
const SHOWN_MAX: usize = 100;

/// The dependencies that all project actors of this node share.
#[derive(Debug, Clone)]
pub struct ProjectEntity {
    pub(crate) passivate_after: Duration,
    pub(crate) store: Arc<dyn TicketStore>,
    pub(crate) broker: Arc<dyn Broker>,
    /// This node, for the others.
    pub(crate) node: NodeKey,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The state of a project actor.
#[derive(Debug)]
pub struct ProjectState {
    id: ProjectId,
    parent: Parent<ProjectProtocol>,
    vitals: Arc<Vitals>,
    subscribers: HashMap<UserId, Subscriber>,
    roster: Roster,
    /// `None` on a single node.
    nodes: Option<Nodes>,
    sight: Sight,
    lines: Lines,
    /// The start of the roster's times.
    born: Instant,
    /// Whether a timer runs for typing users; it never does otherwise.
    is_timer_armed: bool,
    /// Whether there was no watcher at the last tick.
    is_idle: bool,
    is_leaving: bool,
}

impl Entity for ProjectEntity {
    type Protocol = ProjectProtocol;

    async fn spawn(
        &self,
        id: ProjectId,
        parent: Parent<ProjectProtocol>,
        vitals: Arc<Vitals>,
        supervisor: ActorCell,
    ) -> Result<ActorRef<ProjectMessage>, SpawnErr> {
        let args = ProjectState {
            id,
            parent,
            vitals,
            subscribers: HashMap::new(),
            roster: Roster::default(),
            nodes: Nodes::of(self, id),
            sight: Sight::new(id, Arc::clone(&self.store)),
            lines: Lines::default(),
            born: Instant::now(),
            is_timer_armed: false,
            is_idle: false,
            is_leaving: false,
        };
        let (actor, _) = Actor::spawn_linked(None, self.clone(), args, supervisor).await?;
        Ok(actor)
    }

    fn turn(&self) -> Duration {
        self.passivate_after.min(TURN_MAX)
    }

    fn settle(&self, _notes: Vec<()>) {}
}

impl Actor for ProjectEntity {
    type Msg = ProjectMessage;
    type State = ProjectState;
    type Arguments = ProjectState;

    async fn pre_start(
        &self,
        myself: ActorRef<ProjectMessage>,
        state: ProjectState,
    ) -> Result<ProjectState, ActorProcessingErr> {
        if let Some(nodes) = &state.nodes {
            nodes.begin();
            state.arm_heartbeat(&myself);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<ProjectMessage>,
        message: ProjectMessage,
        state: &mut ProjectState,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take(&message);
        match message {
            ProjectMessage::Subscribe(call) => state.subscribe(&myself, call),
            ProjectMessage::Leave(watcher) => state.leave(watcher),
            ProjectMessage::View { watcher, order, ticket } => {
                if state.has(watcher) {
                    state.view(watcher, order, ticket).await;
                }
            }
            ProjectMessage::Type { watcher, ticket, is_typing } => {
                if state.has(watcher) {
                    state.type_on(&myself, watcher, ticket, is_typing).await;
                }
            }
            ProjectMessage::Tell(news) => state.tell(&news),
            ProjectMessage::BeginAnew => state.begin_anew(),
            ProjectMessage::Presence(news) => state.heard(*news).await,
            ProjectMessage::PresenceDue => state.beat(&myself),
            ProjectMessage::Withdraw(user) => state.withdraw(user),
            ProjectMessage::TypingDue => state.typing_due(&myself),
            ProjectMessage::Tick => state.tick(&myself),
            ProjectMessage::Observe(call) => state.observe(call),
            #[cfg(feature = "testing")]
            ProjectMessage::Panic => {
                #[expect(clippy::panic, reason = "tests ask for it")]
                {
                    panic!("told to panic")
                }
            }
        }
        state.vitals.done(taken);
        Ok(())
    }
}

impl ProjectState {
    fn subscribe(&mut self, myself: &ActorRef<ProjectMessage>, call: Call<Subscribe, ()>) {
        if self.is_leaving {
            return; // unopened: it goes back, and on to this actor's successor
        }
        let Some((Subscribe { actor, caller, kind, id }, reply)) = call.open() else { return };
        if actor.is_gone() {
            // Its successor may have subscribed already: there is one actor of a user at a time.
            return reply.send(());
        }
        self.is_idle = false;
        let (user, actor_id) = (caller.id, actor.actor().get_id());
        if self.subscribers.get(&user).is_some_and(|known| known.actor_id() != actor_id) {
            self.forget(user, None); // an earlier actor of this user: there is one at a time
        }
        let project = Handle::new(myself.clone(), Arc::clone(&self.vitals));
        let watcher = Watcher { user, actor: actor_id, id };
        let person = subscriber::person(&caller);
        let own = myself.get_id();
        let known = self
            .subscribers
            .entry(user)
            .or_insert_with(|| Subscriber::new(actor.clone(), caller, self.id, own));
        known.add(kind, id);
        let present = match kind {
            StreamKind::Tickets => None,
            StreamKind::Presence => {
                let events = self.roster.join(person, id);
                self.announce(events);
                self.report(user);
                let known = self.subscribers.get(&user);
                known.map(|known| self.sight.present(known.caller(), &self.roster))
            }
        };
        // After everything that was sent before and ahead of everything that will be, in the user's
        // mailbox. A subscription that is not accepted ends with its watch.
        let begun = StreamMessage::Begun { watch: Watch::new(project, watcher), present };
        actor.cast(UserMessage::Stream(Box::new(begun)));
        reply.send(());
    }

    /// Whether the watcher is still known: messages of a user's earlier actor may be late.
    fn has(&self, watcher: Watcher) -> bool {
        let known = self.subscribers.get(&watcher.user);
        known.is_some_and(|known| known.actor_id() == watcher.actor)
    }

    fn leave(&mut self, watcher: Watcher) {
        let Some(known) = self.subscribers.get_mut(&watcher.user) else { return };
        if known.actor_id() != watcher.actor {
            return;
        }
        known.remove(watcher.id);
        if known.is_empty()
            && let Some(gone) = self.subscribers.remove(&watcher.user)
        {
            gone.part(None);
        }
        let events = self.roster.leave(watcher.user, watcher.id);
        self.announce(events);
        self.report(watcher.user);
    }

    /// Whether the watcher may read the ticket, and so report activity on it.
    async fn may_name(&mut self, watcher: Watcher, ticket: TicketId) -> bool {
        let Some(known) = self.subscribers.get(&watcher.user) else { return false };
        self.sight.may_name(known.caller(), ticket, &self.roster).await
    }

    async fn view(&mut self, watcher: Watcher, order: u64, ticket: Option<TicketId>) {
        let ticket = match ticket {
            Some(ticket) if !self.may_name(watcher, ticket).await => None,
            other => other,
        };
        let events = self.roster.view(watcher.user, watcher.id, order, ticket);
        self.announce(events);
        self.report(watcher.user);
    }

    async fn type_on(
        &mut self,
        myself: &ActorRef<ProjectMessage>,
        watcher: Watcher,
        ticket: TicketId,
        is_typing: bool,
    ) {
        if !self.may_name(watcher, ticket).await {
            return;
        }
        let (user, now) = (watcher.user, self.born.elapsed());
        let events = self.roster.type_on(user, watcher.id, ticket, is_typing, now);
        self.announce(events);
        self.report(user);
        self.arm_timer(myself);
    }

    fn typing_due(&mut self, myself: &ActorRef<ProjectMessage>) {
        self.is_timer_armed = false;
        let events = self.roster.expire(self.born.elapsed());
        let typed: BTreeSet<UserId> = events.iter().filter_map(subscriber::subject).collect();
        self.announce(events);
        typed.into_iter().for_each(|user| self.report(user));
        self.arm_timer(myself);
    }

    /// Runs a timer while a user types. One is enough: a renewal or another user's typing never
    /// ends before the timer fires, and then the next one is looked up.
    fn arm_timer(&mut self, myself: &ActorRef<ProjectMessage>) {
        if self.is_timer_armed {
            return;
        }
        let Some(ends) = self.roster.next_expiry() else { return };
        self.is_timer_armed = true;
        let own = Handle::new(myself.clone(), Arc::clone(&self.vitals));
        let at = self.born + ends;
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            own.cast(ProjectMessage::TypingDue);
        });
    }

    fn tell(&mut self, news: &TicketNews) {
        self.sight.learn(news);
        if !self.lines.is_news(news) {
            return;
        }
        if let StreamEvent::Ticket { action: TicketAction::Deleted, line } = &news.content.event {
            self.drop_ticket(line.id);
        }
        for known in self.subscribers.values().filter(|known| known.is_watching_tickets()) {
            // Every subscriber is a member: the right was checked, and is withdrawn when it is
            // lost.
            if news.stakes.are_visible(known.caller(), Membership::Member) {
                known.tell(&news.content);
            }
        }
    }

    /// A deleted ticket is viewed by none of the sessions that had reported to view it: their
    /// clients need not report that they have left it.
    fn drop_ticket(&mut self, ticket: TicketId) {
        let events = self.roster.drop_ticket(ticket);
        let users: BTreeSet<UserId> = events.iter().filter_map(subscriber::subject).collect();
        self.announce(events);
        users.into_iter().for_each(|user| self.report(user));
        self.sight.forget(ticket);
    }

    /// Sends an event to all watchers of the presence stream but the user that it is about; a
    /// ticket is named only to those who may read it.
    fn announce(&self, events: Vec<StreamEvent>) {
        for event in events {
            let about = subscriber::subject(&event);
            let content = SharedStreamEvent::new(self.id, event);
            let mut without = None;
            for (user, known) in &self.subscribers {
                if Some(*user) == about || !known.is_present() {
                    continue;
                }
                match self.sight.shown(known.caller(), &content.event) {
                    Shown::Whole => known.tell(&content),
                    Shown::WithoutTicket => {
                        let event = || content.event.without_ticket();
                        let new = || SharedStreamEvent::new(self.id, event());
                        known.tell(without.get_or_insert_with(new));
                    }
                    Shown::Nothing => {}
                }
            }
        }
    }

    /// Ends the subscriptions of all who watch tickets, as lost: each begins again, and its client
    /// reads. Presence heals by itself: its nodes compare versions.
    fn begin_anew(&mut self) {
        let watching = self.subscribers.iter().filter(|(_, known)| known.is_watching_tickets());
        let users: Vec<UserId> = watching.map(|(user, _)| *user).collect();
        users.into_iter().for_each(|user| self.forget(user, Some(Parting::Lost)));
    }

    fn withdraw(&mut self, user: UserId) {
        let known = self.subscribers.get(&user);
        if known.is_some_and(|known| !known.caller().role.is_admin()) {
            self.forget(user, Some(Parting::Withdrawn));
        }
    }

    /// Ends all subscriptions of a user, and tells the user's actor if there is a reason.
    fn forget(&mut self, user: UserId, why: Option<Parting>) {
        if let Some(gone) = self.subscribers.remove(&user) {
            gone.part(why);
        }
        let events = self.roster.leave_all(user);
        self.announce(events);
        self.report(user);
    }

    fn tick(&mut self, myself: &ActorRef<ProjectMessage>) {
        let was_idle = std::mem::replace(&mut self.is_idle, self.subscribers.is_empty());
        if self.is_idle && was_idle && !self.is_leaving {
            self.is_leaving = true;
            self.parent.idle(self.id, myself.get_id());
        }
    }

    fn observe(&self, call: Call<(), Value>) {
        let Some(((), reply)) = call.open() else { return };
        let person = |present: Present| {
            json!({
                "username": &*present.person.username,
                "viewing": present.viewing,
                "typing": present.typing,
            })
        };
        let watching =
            self.subscribers.values().filter(|known| known.is_watching_tickets()).count();
        reply.send(json!({
            "memory_bytes": size_of::<Self>()
                + self.subscribers.capacity() * size_of::<(UserId, Subscriber)>(),
            "subscribers": self.subscribers.len(),
            "on_tickets": watching,
            "on_presence": self.roster.count(),
            "other_nodes": self.nodes.as_ref().map_or(0, Nodes::count),
            "roster":
                self.roster.present().into_iter().take(SHOWN_MAX).map(person).collect::<Vec<_>>(),
        }));
    }
}
