//! A user's devices at random: sessions of every feed come, stall, go and come back, read, unread
//! and delete, while notifications stream in and hints are lost, doubled and late, and the actor is
//! killed. No client is ever shown a gap, a double or a step back; what each of them knows in the
//! end is what the store has.

mod known;

use std::collections::BTreeMap;
use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Change, Mark};
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_port::InboxStore;
use bellpull_port::inbox::ChangedRows;
use bellpull_port::inbox::{MarkPortion, Selection};
use bellpull_port::outlet::Ending;
use bellpull_port::session::{Ask, Asked, Begin, Feed, Heard, Resume};
use bellpull_port::testing::Frame;
use jiff::Timestamp;
use proptest::prelude::*;

use self::known::{Client, Known};
use crate::{TestClient, TestNode};

const USER: UserId = UserId(1);

#[derive(Debug, Clone, Copy)]
enum Hint {
    AnnouncedMessage,
    Lost,
    Doubled,
    Late,
}

#[derive(Debug, Clone, Copy)]
enum Whom {
    /// One row, by so many thousandths of all that there are.
    One(i64),
    All,
}

#[derive(Debug, Clone)]
enum Step {
    Added(Hint),
    /// Something else than this hub's sessions marks.
    Marked(Whom, Mark, Hint),
    /// A device marks.
    Ask(usize, Whom, Mark),
    /// The late hints arrive, the latest first.
    Late,
    /// A device comes, with a feed.
    Come(usize),
    Ack(usize),
    End(usize),
    /// A device that went comes back with what it holds.
    Back(usize),
    Stall(usize, usize),
    Release(usize),
    /// From now on what the store answers is on its way for so many milliseconds.
    Slow(u64),
    Kill,
    Wait(u64),
    Yield,
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![3 => Just(Mark::Read), 2 => Just(Mark::Unread), 1 => Just(Mark::Delete)]
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![5 => (0i64..1_000).prop_map(Whom::One), 1 => Just(Whom::All)]
}

fn step() -> impl Strategy<Value = Step> {
    let hint = || {
        prop_oneof![
            6 => Just(Hint::AnnouncedMessage), 1 => Just(Hint::Lost), 1 => Just(Hint::Doubled),
            1 => Just(Hint::Late)
        ]
    };
    prop_oneof![
        8 => hint().prop_map(Step::Added),
        4 => (whom(), mark(), hint()).prop_map(|(whom, mark, hint)| Step::Marked(whom, mark, hint)),
        6 => (0usize..8, whom(), mark()).prop_map(|(n, whom, mark)| Step::Ask(n, whom, mark)),
        2 => Just(Step::Late),
        3 => (0usize..4).prop_map(Step::Come),
        2 => (0usize..8).prop_map(Step::Ack),
        1 => (0usize..8).prop_map(Step::End),
        3 => (0usize..8).prop_map(Step::Back),
        1 => (0usize..8, 0usize..100).prop_map(|(which, room)| Step::Stall(which, room)),
        2 => (0usize..8).prop_map(Step::Release),
        2 => (0u64..30).prop_map(Step::Slow),
        1 => Just(Step::Kill),
        3 => prop_oneof![0u64..40, 0u64..20_000].prop_map(Step::Wait),
        5 => Just(Step::Yield),
    ]
}

struct World {
    node: TestNode,
    clients: Vec<Client>,
    late: Vec<Change>,
    asks: usize,
}

impl World {
    async fn new(backlog: usize) -> Self {
        let limits = HubLimits { replay_max: 5_000, ..HubLimits::default() };
        let node = TestNode::with(limits).await;
        node.born(1, backlog);
        Self { node, clients: Vec::new(), late: Vec::new(), asks: 0 }
    }

    fn hint(&mut self, change: Change, hint: Hint) {
        let users = &self.node.hub.users;
        match hint {
            Hint::AnnouncedMessage => users.tell(USER, change),
            Hint::Lost => {}
            Hint::Doubled => {
                users.tell(USER, change.clone());
                users.tell(USER, change);
            }
            Hint::Late => self.late.push(change),
        }
    }

    fn selection(&self, whom: Whom) -> Selection {
        match whom {
            Whom::All => Selection::all(),
            Whom::One(share) => {
                let head = self.node.store.head_now(USER).last_seq.0;
                Selection::ids(vec![NotificationId(1 + head * share / 1_000)])
            }
        }
    }

    async fn mark(&mut self, whom: Whom, mark: Mark, hint: Hint) {
        let portion = MarkPortion::first(USER, self.selection(whom), mark, Timestamp::UNIX_EPOCH);
        let MarkedPortion { changes, .. } = self.node.store.mark_portion(portion).await.unwrap();
        for marked in changes {
            self.hint(Change::Marked(marked), hint);
        }
    }

    async fn follow(&self, feed: Feed) -> Option<TestClient> {
        let day = Duration::from_secs(86_400);
        let (session, probe) = self.node.try_follow(1, feed, None, day).await;
        session.ok().map(|session| TestClient { session, probe })
    }

    async fn come(&mut self, kind: usize) {
        let feed = [
            Feed::Entries(Begin::Since(Seq::ZERO)),
            Feed::Changes(Resume::After(Seq::ZERO)),
            Feed::Changes(Resume::Unacknowledged),
            Feed::Nothing,
        ][kind];
        let Some(conn) = self.follow(feed).await else { return };
        if feed == Feed::Nothing {
            return; // it is shown nothing, and must not disturb the others
        }
        let (is_whole, is_entries) = (kind != 2, kind == 0);
        self.clients.push(Client { is_whole, is_entries, conn, read: 0, known: Known::default() });
    }

    /// A client of changes goes on with what it holds; one of births begins anew.
    async fn back(&mut self, which: usize) -> Result<(), TestCaseError> {
        let Some(client) = self.clients.get_mut(which).filter(|one| !one.is_open()) else {
            return Ok(());
        };
        client.look()?;
        client.known.asked.clear(); // the client cannot know whether it was done
        let feed = if client.is_entries {
            Feed::Entries(Begin::Since(Seq::ZERO))
        } else {
            Feed::Changes(Resume::After(client.known.at))
        };
        if let Some(conn) = self.follow(feed).await {
            let client = &mut self.clients[which];
            (client.conn, client.read) = (conn, 0);
            if client.is_entries {
                client.known = Known::default();
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let index = |which: usize| which % self.clients.len().max(1);
        match step {
            Step::Added(hint) => {
                let change = self.node.store.append(USER, "x");
                self.hint(change, hint);
            }
            Step::Marked(whom, mark, hint) => self.mark(whom, mark, hint).await,
            Step::Ask(which, whom, mark) => {
                let (selection, index) = (self.selection(whom), index(which));
                self.asks += 1;
                if let Some(client) = self.clients.get_mut(index).filter(|one| one.is_open()) {
                    client.ask(selection, mark, self.asks);
                }
            }
            Step::Late => {
                while let Some(change) = self.late.pop() {
                    self.hint(change, Hint::AnnouncedMessage);
                }
            }
            Step::Come(kind) => self.come(kind).await,
            Step::Ack(which) => {
                let index = index(which);
                if let Some(client) = self.clients.get_mut(index) {
                    client.look()?;
                    let ack = Asked { tag: None, ask: Ask::Ack(client.known.at) };
                    client.conn.session.heard(Heard::Asked(Box::new(ack)));
                }
            }
            Step::End(which) => {
                if let Some(client) = self.clients.get(index(which)) {
                    client.conn.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
                }
            }
            Step::Back(which) => self.back(index(which)).await?,
            Step::Stall(which, room) => {
                if let Some(client) = self.clients.get(index(which)) {
                    client.conn.probe.set(|seen| seen.room = Some(room));
                    client.conn.session.heard(Heard::Writable);
                }
            }
            Step::Release(which) => {
                if let Some(client) = self.clients.get(index(which)) {
                    client.conn.release();
                }
            }
            Step::Slow(ms) => self.node.slow(ms),
            Step::Kill => {
                let _ = self.node.hub.kill_at("user/1").await;
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Yield => tokio::task::yield_now().await,
        }
        Ok(())
    }

    /// All are connected, and all requests are answered.
    async fn settle(&mut self) -> Result<(), TestCaseError> {
        for client in &self.clients {
            client.conn.release();
        }
        // Past every back-off.
        tokio::time::sleep(Duration::from_secs(20)).await;
        for which in 0..self.clients.len() {
            self.back(which).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.node.tell(1);
        let last = self.node.store.head_now(USER).last_seq;
        for client in &mut self.clients {
            let is_last = |frame: &Frame| {
                if let Frame::Row { changed_seq, .. } = frame {
                    return *changed_seq == last;
                }
                matches!(frame, Frame::Notification { seq, .. } if *seq == last)
            };
            client.conn.probe.until(|seen| seen.frames.iter().any(is_last)).await;
            client.look()?;
        }
        Ok(())
    }

    async fn check(&mut self) -> Result<(), TestCaseError> {
        self.settle().await?;
        let ChangedRows { head, rows, .. } =
            self.node.store.changes(USER, Seq::ZERO, u32::MAX).await.unwrap();
        let lives = rows.iter().filter(|row| !row.is_deleted);
        let stored: BTreeMap<NotificationId, bool> =
            lives.map(|row| (row.entry.id, row.entry.is_read)).collect();
        for client in &self.clients {
            let known = &client.known;
            let has: BTreeMap<NotificationId, bool> =
                known.rows.iter().map(|(id, row)| (*id, row.0)).collect();
            prop_assert_eq!(known.unread_count, Some(head.unread_count));
            prop_assert!(known.asked.is_empty(), "not answered: {:?}", known.asked);
            if client.is_whole {
                let frames = client.conn.probe.seen().frames.clone();
                prop_assert_eq!(&has, &stored, "after {:?}", frames);
            } else {
                let wrong = has.iter().find(|(id, is_read)| stored.get(id) != Some(is_read));
                prop_assert_eq!(wrong, None, "not as it is stored");
            }
        }
        Ok(())
    }
}

impl TestClient {
    /// The connection takes everything again.
    fn release(&self) {
        self.probe.set(|seen| seen.room = None);
        // The first writer notices: the outlet, or the actor with the next frame.
        let is_reported = self.probe.seen().frames.len().is_multiple_of(2);
        let heard = if is_reported { Heard::Writable } else { Heard::Ping(None) };
        self.session.heard(heard);
    }
}

fn run(work: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]
    #[test]
    fn what_every_client_knows_in_the_end_is_what_the_store_has(
        backlog in 0usize..=500,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(async {
            let mut world = World::new(backlog).await;
            world.come(0).await;
            world.come(1).await;
            for step in steps {
                world.step(step).await?;
            }
            world.check().await
        })?;
    }

    /// What was acknowledged is not shown to the next session without a position; what was not,
    /// is; wherever in a backlog of 500 the line broke.
    #[test]
    fn unacknowledged_changes_are_shown_again_from_any_point(
        acked in 0i64..=500,
        marks in prop::collection::vec((1i64..=500, mark()), 0..20),
    ) {
        run(async {
            let mut world = World::new(500).await;
            world.come(2).await;
            let frames = |seen: &bellpull_port::testing::Seen| seen.frames.len() == 501;
            world.clients[0].conn.probe.until(frames).await;
            let ack = Asked { tag: Some("ack".into()), ask: Ask::Ack(Seq(acked)) };
            world.clients[0].conn.session.heard(Heard::Asked(Box::new(ack)));
            for (id, mark) in marks {
                world.mark(Whom::One(id * 2 - 2), mark, Hint::AnnouncedMessage).await;
            }
            let end = Heard::Ended(Ending::Closed { code: 1000 });
            world.clients[0].conn.session.heard(end);
            world.clients[0].conn.probe.ended().await;
            let changes = world.node.store.changes(USER, Seq(acked), 500).await;
            let wanted = changes.unwrap().rows;
            world.come(2).await;
            let again = &world.clients[1].conn.probe;
            again.until(|seen| seen.frames.len() == wanted.len() + 1).await;
            let seen = again.seen();
            for (row, frame) in wanted.iter().zip(&seen.frames[1..]) {
                let Frame::Row { changed_seq, id, is_news, .. } = frame else {
                    return Err(TestCaseError::fail(format!("{frame:?}")));
                };
                prop_assert_eq!((changed_seq, id), (&row.changed_seq, &row.entry.id));
                prop_assert_eq!(*is_news, row.entry.seq > Seq(acked) && !row.is_deleted);
            }
            Ok(())
        })?;
    }
}

/// One of the thousand.
#[derive(Debug, Clone)]
enum Operation {
    New,
    Mark(usize, Whom, Mark),
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8, failure_persistence: None, ..Default::default()
    })]
    #[test]
    fn after_a_thousand_operations_on_three_devices_all_counts_are_the_stores(
        operations in prop::collection::vec(
            prop_oneof![
                1 => Just(Operation::New),
                2 => (0usize..3, whom(), mark())
                    .prop_map(|(n, whom, mark)| Operation::Mark(n, whom, mark)),
            ],
            1_000,
        ),
    ) {
        run(async {
            let mut world = World::new(20).await;
            for kind in [0, 1, 1] {
                world.come(kind).await;
            }
            for (number, operation) in operations.into_iter().enumerate() {
                match operation {
                    Operation::New => world.node.tell(1),
                    Operation::Mark(which, whom, mark) => {
                        let selection = world.selection(whom);
                        world.clients[which].ask(selection, mark, number);
                    }
                }
                // Never more than may wait.
                if number % 16 == 0 {
                    for client in &mut world.clients {
                        let asked = client.known.asked.len();
                        let answered = |seen: &bellpull_port::testing::Seen| {
                            let news = &seen.frames[client.read..];
                            let answers = news.iter();
                            asked == answers.filter(|one| matches!(one, Frame::Answer(..))).count()
                        };
                        client.conn.probe.until(answered).await;
                        client.look()?;
                    }
                }
            }
            world.check().await
        })?;
    }
}
