//! Projects' streams: who may watch, what is told to whom, and what becomes of a subscription when
//! its right, its project's actor, its user's actor or its supervisor goes.

use std::time::Duration;

use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::stream::{Present, Stream, StreamEvent, StreamKind, TicketAction};
use bellpull_domain::ticket::{Caller, Command, Edit};
use bellpull_domain::user::Role;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::{
    Answer, Ask, Asked, Begin, Client, Feed, Heard, Resume, SessionStart,
};
use bellpull_port::testing::{FakeOutlet, Frame, Mode, Op, Probe};
use tokio::time::Instant;

use crate::ticket::new_ticket;
use crate::{TestClient, TestNode};

/// A closed project with its admin (8), two developers (1 and 2) and a client (3) on its list, and
/// a developer (4) who is not.
pub(crate) const SEC: ProjectId = ProjectId(7);
pub(crate) const TICKETS: Stream = Stream { project: SEC, kind: StreamKind::Tickets };
pub(crate) const PRESENCE: Stream = Stream { project: SEC, kind: StreamKind::Presence };

pub(crate) struct Team {
    pub(crate) client: Caller,
    pub(crate) admin: Caller,
}

impl TestNode {
    pub(crate) fn team(&self) -> Team {
        self.store.add_project(SEC, "SEC", false);
        for id in [1, 2, 4] {
            let _ = self.store.add_user(id, Role::Developer);
        }
        for id in [1, 2, 3] {
            self.store.add_member(SEC, UserId(id));
        }
        let client = self.store.add_user(3, Role::Client);
        for id in 5..=40 {
            self.store.add_ticket(TicketId(id), SEC, UserId(1));
        }
        Team { client, admin: self.store.add_user(8, Role::Admin) }
    }

    async fn start(&self, user: i64, feed: Feed, stream: Option<Stream>) -> TestClient {
        let (outlet, probe) = FakeOutlet::new();
        let expires_at = self.clock_in(Duration::from_secs(86_400));
        let outlet = Box::new(outlet);
        let start = SessionStart {
            outlet,
            feed,
            stream,
            login: None,
            expires_at,
            client: Client::default(),
        };
        let session = self.hub.users.attach(self.account(user), start).await.unwrap();
        TestClient { session, probe }
    }

    /// A socket that is for one stream.
    pub(crate) async fn watch(&self, user: i64, stream: Stream) -> TestClient {
        self.start(user, Feed::Nothing, Some(stream)).await
    }

    /// A socket that subscribes as it likes.
    pub(crate) async fn socket(&self, user: i64) -> TestClient {
        self.start(user, Feed::Changes(Resume::Live), None).await
    }

    /// Whether the project's actor has so many subscribers on each of its streams.
    pub(crate) async fn watched(&self, tickets: u64, presence: u64) -> bool {
        let observed = self.find("project/7").await.map(|report| report.observed);
        observed.is_some_and(|it| it["on_tickets"] == tickets && it["on_presence"] == presence)
    }

    pub(crate) async fn until_watched(&self, tickets: u64, presence: u64) {
        let look = async {
            while !self.watched(tickets, presence).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, look).await.unwrap_or_else(|_| panic!("{tickets} {presence}"));
    }
}

impl TestClient {
    /// What a client of the older families asks, which has no names for requests.
    pub(crate) fn say(&self, ask: Ask) {
        self.session.heard(Heard::Asked(Box::new(Asked { tag: None, ask })));
    }
}

/// What a connection was told of streams, in order.
pub(crate) fn announced(probe: &Probe) -> Vec<StreamEvent> {
    let frames = &probe.seen().frames;
    let event = |frame: &Frame| {
        let Frame::Stream(_, event) = frame else { return None };
        let mut event = event.clone();
        if let StreamEvent::Viewing { was, .. } = &mut event {
            *was = None; // no socket is told it
        }
        Some(event)
    };
    frames.iter().filter_map(event).collect()
}

/// The lists of who is there that a connection was shown, in order.
pub(crate) fn lists(probe: &Probe) -> Vec<Vec<i64>> {
    let frames = &probe.seen().frames;
    let ids = |people: &[Present]| people.iter().map(|one| one.person.id.0).collect();
    let list = |frame: &Frame| {
        if let Frame::Present(_, people) = frame { Some(ids(people)) } else { None }
    };
    frames.iter().filter_map(list).collect()
}

fn lines(probe: &Probe) -> Vec<(TicketAction, TicketId, i64)> {
    let line = |event| {
        let StreamEvent::Ticket { action, line } = event else { return None };
        Some((action, line.id, line.version))
    };
    announced(probe).into_iter().filter_map(line).collect()
}

fn refused(answer: &Answer) -> &'static str {
    let Answer::Refused { code, .. } = answer else { panic!("{answer:?}") };
    code
}

#[tokio::test(start_paused = true)]
async fn watchers_of_tickets_are_told_of_all_that_they_may_see_and_of_nothing_else() {
    use TicketAction::{Created, Deleted, Updated};
    let node = TestNode::new().await;
    let team = node.team();
    node.store.add_member(SEC, UserId(5));
    let mut watchers = Vec::new();
    for user in [1, 8, 3, 5] {
        watchers.push(node.watch(user, TICKETS).await);
    }
    node.until_watched(4, 0).await;
    let raise = node.hub.tickets.create(SEC, new_ticket(), team.client.clone());
    let id = raise.await.unwrap().id;
    let elsewhere = node.raise(&team.client).await.id;
    node.command(id, Command::Open, &team.admin).await.unwrap();
    node.command(elsewhere, Command::Open, &team.admin).await.unwrap();
    let edit = Command::Edit(Edit { title: Some("New".to_owned()), ..Edit::default() });
    node.command(id, edit, &team.client).await.unwrap();
    node.command(id, Command::Delete, &team.admin).await.unwrap();
    let wanted = [(Created, id, 1), (Updated, id, 2), (Updated, id, 3), (Deleted, id, 4)];
    for watcher in &watchers[..3] {
        watcher.probe.until(|seen| seen.frames.len() >= 5).await;
        assert_eq!(lines(&watcher.probe), wanted);
    }
    // A client on the list, but no party to the ticket; it is told of its own.
    let own = node.hub.tickets.create(SEC, new_ticket(), node.caller(5)).await.unwrap().id;
    watchers[3].probe.until(|seen| seen.frames.len() >= 2).await;
    assert_eq!(lines(&watchers[3].probe), [(Created, own, 1)]);
    assert!(!watchers[2].probe.seen().frames.iter().any(|frame| {
        matches!(frame, Frame::Stream(_, StreamEvent::Ticket { line, .. }) if line.id == own)
    }));
}

#[tokio::test(start_paused = true)]
async fn a_session_for_one_stream_is_greeted_once_its_subscription_stands() {
    let node = TestNode::new().await;
    node.team();
    let mut guests = Vec::new();
    for (stream, tickets, presence) in [(TICKETS, 1, 0), (PRESENCE, 1, 1)] {
        node.store.set(Op::Ticket, Mode::Hang);
        let conn = node.watch(1, stream).await;
        conn.session.heard(Heard::Ping(None));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(conn.probe.seen().frames.is_empty(), "{:?}", conn.probe.seen().frames);
        node.store.set(Op::Ticket, Mode::Good);
        conn.probe.until(|seen| !seen.frames.is_empty()).await;
        // What is said to the project's actor from here on reaches the client.
        assert!(node.watched(tickets, presence).await);
        conn.probe.until(|seen| seen.frames.contains(&Frame::Pong(None))).await;
        let frames = conn.probe.seen().frames.clone();
        assert_eq!(frames[0], Frame::Established(UserId(1)));
        assert_eq!(frames.len(), 2 + usize::from(stream == PRESENCE), "{frames:?}");
        guests.push(conn);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_of_an_unwatched_project_starts_no_actor() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    node.raise(&creator).await;
    assert!(node.find("project/1").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_user_who_may_not_watch_is_rejected_and_learns_nothing() {
    let node = TestNode::new().await;
    node.team();
    let nowhere = Stream { project: ProjectId(99), ..TICKETS };
    for stream in [TICKETS, PRESENCE, nowhere] {
        let outsider = node.watch(4, stream).await;
        assert_eq!(outsider.probe.ended().await, Ending::RightWithdrawn);
        assert!(outsider.probe.seen().frames.is_empty(), "it is not greeted");
    }
    let outsider = node.socket(4).await;
    for (tag, stream) in [("a", TICKETS), ("b", PRESENCE), ("c", nowhere)] {
        outsider.ask(tag, Ask::Subscribe(stream));
        assert_eq!(refused(&outsider.answer(tag).await), "not_found");
    }
    assert!(node.find("project/7").await.is_none(), "there was no subscription");
    // The open project is every user's.
    let open = Stream { project: ProjectId::DEFAULT, ..TICKETS };
    outsider.ask("d", Ask::Subscribe(open));
    assert_eq!(outsider.answer("d").await, Answer::Done);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_answered_then_shown_who_is_there_then_told() {
    let node = TestNode::new().await;
    node.team();
    let socket = node.socket(1).await;
    socket.ask("r1", Ask::Subscribe(PRESENCE));
    assert_eq!(socket.answer("r1").await, Answer::Done);
    let _other = node.watch(2, PRESENCE).await;
    socket.probe.until(|seen| seen.frames.len() >= 4).await;
    let frames = socket.probe.seen().frames.clone();
    assert!(matches!(frames[0], Frame::Welcome { .. }), "{frames:?}");
    assert_eq!(frames[1], Frame::Answer(Some("r1".into()), Answer::Done));
    assert!(
        matches!(&frames[2], Frame::Present(stream, people)
        if *stream == PRESENCE && people.len() == 1),
        "{frames:?}"
    );
    assert!(
        matches!(&frames[3], Frame::Stream(stream, StreamEvent::Joined(person))
        if *stream == PRESENCE && person.id == UserId(2)),
        "{frames:?}"
    );
    // Twice is once; what was never subscribed cannot end.
    socket.ask("r2", Ask::Subscribe(PRESENCE));
    assert_eq!(socket.answer("r2").await, Answer::Done);
    socket.ask("r3", Ask::Unsubscribe(TICKETS));
    assert_eq!(refused(&socket.answer("r3").await), "not_subscribed");
    socket.ask("r4", Ask::Viewing { stream: Some(TICKETS), ticket: None });
    assert_eq!(refused(&socket.answer("r4").await), "not_subscribed");
    socket.ask("r5", Ask::Unsubscribe(PRESENCE));
    assert_eq!(socket.answer("r5").await, Answer::Done);
    node.until_watched(0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_has_a_bound_of_subscriptions() {
    let node = TestNode::new().await;
    let admin = node.store.add_user(8, Role::Admin);
    let socket = node.socket(admin.id.0).await;
    for id in 100..165 {
        node.store.add_project(ProjectId(id), &format!("P{id}"), false);
        let tag = id.to_string();
        socket.ask(&tag, Ask::Subscribe(Stream { project: ProjectId(id), ..TICKETS }));
        let answer = socket.answer(&tag).await;
        if id < 164 {
            assert_eq!(answer, Answer::Done);
        } else {
            assert_eq!(refused(&answer), "too_many_streams");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_withdrawn_ends_what_stands_and_spares_admins() {
    let node = TestNode::new().await;
    let team = node.team();
    let own = [node.watch(1, TICKETS).await, node.watch(1, PRESENCE).await];
    let socket = node.socket(1).await;
    socket.ask("r1", Ask::Subscribe(TICKETS));
    socket.answer("r1").await;
    let admin = node.watch(8, TICKETS).await;
    let other = node.watch(2, PRESENCE).await;
    node.until_watched(2, 2).await;
    node.store.remove_member_now(SEC, UserId(1));
    node.hub.projects.withdraw(SEC, UserId(1));
    node.hub.projects.withdraw(SEC, UserId(8));
    node.hub.projects.withdraw(SEC, UserId(99));
    for session in &own {
        assert_eq!(session.probe.ended().await, Ending::RightWithdrawn);
    }
    let ended = Frame::StreamEnded(TICKETS, "right_withdrawn");
    socket.probe.until(|seen| seen.frames.contains(&ended)).await;
    other
        .probe
        .until(|_| matches!(announced(&other.probe).last(), Some(StreamEvent::Left(_))))
        .await;
    node.until_watched(1, 1).await;
    let raised = node.hub.tickets.create(SEC, new_ticket(), team.admin).await.unwrap();
    admin.probe.until(|seen| seen.frames.len() >= 2).await;
    assert_eq!(lines(&admin.probe), [(TicketAction::Created, raised.id, 1)]);
    assert_eq!(socket.probe.seen().frames.last(), Some(&ended), "told no further");
    assert!(socket.probe.seen().closed.is_none());
}

/// Whenever a member is removed, none of the member's subscriptions remains
/// in the end.
#[tokio::test(start_paused = true)]
async fn a_removal_at_any_moment_of_a_subscription_is_noticed() {
    for steps in 0..40 {
        let node = TestNode::new().await;
        node.team();
        let (store, projects) = (node.store.clone(), node.hub.projects.clone());
        let removal = tokio::spawn(async move {
            for _ in 0..steps {
                crate::supervisor::step_aside().await;
            }
            store.remove_member_now(SEC, UserId(1));
            projects.withdraw(SEC, UserId(1));
        });
        let session = node.watch(1, PRESENCE).await;
        removal.await.unwrap();
        assert_eq!(session.probe.ended().await, Ending::RightWithdrawn, "after {steps}");
        if node.find("project/7").await.is_some() {
            node.until_watched(0, 0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_lets_a_client_come_back_later() {
    let node = TestNode::new().await;
    node.team();
    let socket = node.socket(1).await;
    node.store.set(Op::Ticket, Mode::Fail);
    let session = node.watch(1, TICKETS).await;
    assert_eq!(session.probe.ended().await, Ending::Restarting { retry_after_ms: 1_000 });
    socket.ask("r1", Ask::Subscribe(TICKETS));
    assert_eq!(refused(&socket.answer("r1").await), "unavailable");
    node.store.set(Op::Ticket, Mode::Good);
    socket.ask("r2", Ask::Subscribe(TICKETS));
    assert_eq!(socket.answer("r2").await, Answer::Done);
}

/// The store fails between the two looks at the right: nothing may stand that was not looked at.
#[tokio::test(start_paused = true)]
async fn a_right_that_could_not_be_looked_at_twice_is_not_relied_on() {
    let node = TestNode::new().await;
    node.team();
    let before = node.store.asked(Op::Ticket);
    node.store.set(Op::Ticket, Mode::Delay(Duration::from_millis(10)));
    let session = node.watch(1, TICKETS).await;
    // The project and the list, then the project again: that one hangs.
    node.store.until_asked(Op::Ticket, before + 3).await;
    node.store.set(Op::Ticket, Mode::Fail);
    node.store.until_asked(Op::Ticket, before + 4).await;
    assert!(matches!(session.probe.ended().await, Ending::Restarting { .. }));
}

#[tokio::test(start_paused = true)]
async fn the_death_of_a_projects_actor_is_told_to_its_watchers_and_the_roster_is_right_again() {
    for path in ["panic", "project/7", "projects/1"] {
        let node = TestNode::new().await;
        node.team();
        for id in [1, 2] {
            node.store.add_ticket(TicketId(id), SEC, UserId(1));
        }
        let tabs = [node.watch(1, PRESENCE).await, node.watch(1, PRESENCE).await];
        let other = node.watch(2, PRESENCE).await;
        let tickets = node.watch(3, TICKETS).await;
        let socket = node.socket(3).await;
        socket.ask("r1", Ask::Subscribe(TICKETS));
        socket.answer("r1").await;
        node.until_watched(1, 2).await;
        tabs[0].say(Ask::Viewing { stream: None, ticket: Some(TicketId(1)) });
        tabs[1].say(Ask::Viewing { stream: None, ticket: Some(TicketId(2)) });
        other.probe.until(|_| announced(&other.probe).len() == 2).await;
        let killed = Instant::now();
        match path {
            "panic" => node.hub.panic_at("project/7"),
            path => node.hub.kill_at(path).await.unwrap(),
        }
        // They may have missed something: they come back and read.
        for watcher in [&tickets, &socket] {
            let Ending::Restarting { retry_after_ms } = watcher.probe.ended().await else {
                panic!("{path}")
            };
            assert!(retry_after_ms < 1_000);
        }
        for session in tabs.iter().chain([&other]) {
            session.probe.until(|_| lists(&session.probe).len() >= 2).await;
        }
        node.until_watched(0, 2).await;
        let newcomer = node.watch(8, PRESENCE).await;
        newcomer.probe.until(|_| !lists(&newcomer.probe).is_empty()).await;
        assert!(killed.elapsed() < Duration::from_secs(1), "{path}: {:?}", killed.elapsed());
        assert_eq!(lists(&newcomer.probe), [[1, 2, 8]], "{path}");
        let frames = newcomer.probe.seen().frames.clone();
        let Some(Frame::Present(_, people)) = frames.last() else { panic!("{frames:?}") };
        assert_eq!(people[0].viewing, Some(TicketId(2)), "{path}: the newest look");
        assert!(tabs.iter().all(|tab| tab.probe.seen().closed.is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_keeps_failing_is_asked_for_again_until_the_session_gives_up() {
    let node = TestNode::new().await;
    node.team();
    let session = node.watch(1, PRESENCE).await;
    node.until_watched(0, 1).await;
    node.store.set(Op::Ticket, Mode::Fail);
    node.hub.panic_at("project/7");
    assert!(matches!(session.probe.ended().await, Ending::Restarting { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_unwatched_project_leaves_memory_and_comes_back() {
    let node = TestNode::new().await;
    node.team();
    for _ in 0..2 {
        let session = node.watch(1, TICKETS).await;
        node.until_watched(1, 0).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(node.watched(1, 0).await, "a client watches");
        session.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
        node.until_listed("project/7", false).await;
    }
    let again = node.watch(1, TICKETS).await;
    node.until_watched(1, 0).await;
    assert_eq!(node.find("project/7").await.unwrap().restarts, 0, "it left in peace");
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn a_stream_socket_has_what_every_socket_has() {
    let node = TestNode::new().await;
    node.team();
    let session = node.watch(1, TICKETS).await;
    node.until_watched(1, 0).await;
    node.tell(1);
    let inbox = node.attach(1, Begin::Undelivered).await;
    assert_eq!(inbox.probe.shown(1).await, [1]);
    assert_eq!(session.probe.seen().frames, [Frame::Established(UserId(1))], "no notification");
    node.hub.users.end_sessions(UserId(1), None, Revoked::Right);
    assert_eq!(session.probe.ended().await, Ending::RightWithdrawn);
    node.until_watched(0, 0).await;
}
