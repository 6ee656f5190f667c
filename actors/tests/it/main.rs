//! Whole trees on fake ports: the actors as the edges and the operators meet them.
//!
//! In reading order: `attach`, `resume`, `live`, `slow`, `requests`, `ending` (a user's sessions),
//! `walk`, `devices` (a user's sessions at random), `ticket`, `comments`, `project`, `presence`,
//! `sends`, `notes`, `supervisor`, `channel`, `channels`, `hub`, `broker` (two nodes), `foreign`
//! (messages that are not what the store has).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails a test, in helpers as in the tests themselves"
)]

mod attach;
mod broker;
mod channel;
mod channels;
mod comments;
mod confirm;
mod devices;
mod ending;
mod foreign;
mod hub;
mod live;
mod notes;
mod presence;
mod project;
mod requests;
mod resume;
mod retention;
mod sends;
mod slow;
mod supervisor;
mod ticket;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bellpull_actors::broker::LocalBroker;
use bellpull_actors::channel::ChannelActor;
use bellpull_actors::directory::{AttachError, Session};
use bellpull_actors::hub::{Hub, HubLimits, HubNames, HubParts};
use bellpull_actors::observe::ActorReport;
use bellpull_actors::write_rate::WriteRate;
use bellpull_domain::ids::{LoginId, Seq, UserId};
use bellpull_domain::inbox::Change;
use bellpull_domain::ticket::Caller;
use bellpull_domain::user::{Role, User};
use bellpull_port::session::{Answer, Ask, Asked, Begin, Client, Feed, Heard, SessionStart};
use bellpull_port::slow::SlowLog;
use bellpull_port::testing::{FakeClock, FakeOutlet, FakeStore, Frame, Mode, Op, Probe, Seen};
use bellpull_port::{Broker, Clock, LeaseOwner};
use jiff::{SignedDuration, Timestamp};

/// A hub with the fakes that it stands on.
struct TestNode {
    hub: Hub,
    store: FakeStore,
    clock: Arc<FakeClock>,
}

/// A user's session with the test's end of its connection.
struct TestClient {
    session: Session,
    probe: Probe,
}

impl TestClient {
    /// Asks for something under a name.
    fn ask(&self, name: impl ToString, ask: Ask) {
        let tag = Some(name.to_string().into());
        self.session.heard(Heard::Asked(Box::new(Asked { tag, ask })));
    }

    /// Waits for the answer to a request.
    async fn answer(&self, name: impl ToString) -> Answer {
        let name = name.to_string();
        let answer = |seen: &Seen| {
            let own = |frame: &Frame| {
                let Frame::Answer(tag, answer) = frame else { return None };
                (tag.as_deref() == Some(&*name)).then(|| answer.clone())
            };
            seen.frames.iter().find_map(own)
        };
        self.probe.until(|seen| answer(seen).is_some()).await;
        answer(&self.probe.seen()).unwrap()
    }
}

impl TestNode {
    async fn new() -> Self {
        Self::with(HubLimits::default()).await
    }

    async fn with(limits: HubLimits) -> Self {
        Self::with_channels(limits, Arc::new(FakeClock::default()), Vec::new()).await
    }

    async fn with_channels(
        limits: HubLimits,
        clock: Arc<FakeClock>,
        channels: Vec<ChannelActor>,
    ) -> Self {
        let (store, broker) = (FakeStore::new(), Arc::new(LocalBroker));
        Self::with_parts(limits, clock, channels, store, broker).await
    }

    /// A hub that shares a store with others, and reaches them through a broker.
    async fn with_parts(
        limits: HubLimits,
        clock: Arc<FakeClock>,
        channels: Vec<ChannelActor>,
        store: FakeStore,
        broker: Arc<dyn Broker>,
    ) -> Self {
        static NODES: AtomicUsize = AtomicUsize::new(0);
        let nth = NODES.fetch_add(1, Relaxed);
        let parts = HubParts {
            tickets: Arc::new(store.clone()),
            inboxes: Arc::new(store.clone()),
            sends: Arc::new(store.clone()),
            retention: Arc::new(store.clone()),
            comments: Arc::new(store.clone()),
            broker,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            names: HubNames { epoch: "an-epoch".into(), node: "a-node".into() },
            owner: LeaseOwner::new(&format!("node{nth}"), Timestamp::UNIX_EPOCH),
            limits,
            writes: WriteRate::per_second(0), // the requests come from no client
            channels,
            slow: SlowLog::default(),
        };
        Self { hub: Hub::start(parts).await.unwrap(), store, clock }
    }

    /// A caller of that id, a client unless the store knows better.
    fn caller(&self, id: i64) -> Caller {
        let known = self.store.user_row(UserId(id));
        known.as_ref().map_or_else(|| self.store.add_user(id, Role::Client), Caller::from)
    }

    /// The account of such a caller.
    fn account(&self, id: i64) -> Arc<User> {
        let caller = self.caller(id);
        Arc::new(self.store.user_row(caller.id).unwrap())
    }

    fn clock_in(&self, time: Duration) -> Timestamp {
        self.clock.now() + SignedDuration::try_from(time).unwrap()
    }

    /// A session of a login that began now and whose token lasts for so long.
    async fn try_attach(
        &self,
        user: i64,
        begin: Begin,
        login: Option<i64>,
        lasts: Duration,
    ) -> (Result<Session, AttachError>, Probe) {
        self.try_follow(user, Feed::Entries(begin), login, lasts).await
    }

    /// The same for any feed.
    async fn try_follow(
        &self,
        user: i64,
        feed: Feed,
        login: Option<i64>,
        lasts: Duration,
    ) -> (Result<Session, AttachError>, Probe) {
        let (outlet, probe) = FakeOutlet::new();
        let expires_at = self.clock_in(lasts);
        let login = login.map(LoginId);
        let start = SessionStart {
            outlet: Box::new(outlet),
            feed,
            stream: None,
            login,
            expires_at,
            client: Client::default(),
        };
        (self.hub.users.attach(self.account(user), start).await, probe)
    }

    async fn attach(&self, user: i64, begin: Begin) -> TestClient {
        let day = Duration::from_secs(86_400);
        let (attached, probe) = self.try_attach(user, begin, None, day).await;
        TestClient { session: attached.unwrap(), probe }
    }

    async fn follow(&self, user: i64, feed: Feed) -> TestClient {
        let day = Duration::from_secs(86_400);
        let (attached, probe) = self.try_follow(user, feed, None, day).await;
        TestClient { session: attached.unwrap(), probe }
    }

    /// Adds this many notifications without telling any session.
    fn born(&self, user: i64, count: usize) -> Vec<Change> {
        (0..count).map(|_| self.store.append(UserId(user), "x")).collect()
    }

    /// One is born, and the user's actor is told.
    fn tell(&self, user: i64) {
        for change in self.born(user, 1) {
            self.hub.users.tell(UserId(user), change);
        }
    }

    /// From now on what the store answers of inboxes is on its way for so many milliseconds.
    fn slow(&self, ms: u64) {
        for op in [Op::Head, Op::Entries] {
            self.store.set(op, Mode::Late(Duration::from_millis(ms)));
        }
    }

    fn delivered(&self, user: i64) -> i64 {
        self.store.head_now(UserId(user)).delivered_seq.0
    }

    /// The report of the actor at a path, if it is listed.
    async fn find(&self, path: &str) -> Option<ActorReport> {
        let tree = self.hub.tree(1_000).await.unwrap();
        let leaves = tree.children.iter().flat_map(|child| &child.children);
        std::iter::once(&tree).chain(&tree.children).chain(leaves).find(|r| r.path == path).cloned()
    }

    /// Waits until the tree shows an actor in that state.
    async fn until_state(&self, path: &str, state: &str) {
        let look = async {
            while self.find(path).await.is_none_or(|report| report.state != state) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let limit = Duration::from_secs(600);
        tokio::time::timeout(limit, look).await.unwrap_or_else(|_| panic!("{path} {state}"));
    }

    /// Waits until the tree shows an actor (or shows it no more).
    async fn until_listed(&self, path: &str, is_listed: bool) {
        let look = async {
            while self.find(path).await.is_some() != is_listed {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let limit = Duration::from_secs(600);
        tokio::time::timeout(limit, look).await.unwrap_or_else(|_| panic!("{path} {is_listed}"));
    }
}

/// Waits until something is so, for what has no probe to wait on.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), look).await.unwrap_or_else(|_| panic!("{what}"));
}

fn since(seq: i64) -> Begin {
    Begin::Since(Seq(seq))
}

fn upto(last: i64) -> Vec<i64> {
    (1..=last).collect()
}
