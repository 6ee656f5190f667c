//! A user's sessions at random: they come, stall and go while births stream in and hints are lost,
//! duplicated and late. No session ever sees a gap, a duplicate or a step back; nothing that no
//! session was shown counts as delivered; in the end every session has been shown everything.

use std::collections::BTreeSet;
use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::UserId;
use bellpull_domain::inbox::Change;
use bellpull_port::outlet::Ending;
use bellpull_port::session::{Begin, Heard};
use proptest::prelude::*;

use crate::{TestClient, TestNode, since};

const USER: UserId = UserId(1);

/// What becomes of a hint.
#[derive(Debug, Clone, Copy)]
enum Hint {
    AnnouncedMessage,
    Lost,
    Doubled,
    Late,
}

#[derive(Debug, Clone)]
enum Step {
    /// New entries, and what happens to each hint.
    Added(Vec<Hint>),
    /// The late hints arrive, the latest first.
    Late,
    Undelivered,
    /// From so many thousandths of the inbox.
    Since(i64),
    Live,
    /// One of the sessions closes.
    End(usize),
    /// One of the connections takes so many more frames and no more.
    Stall(usize, usize),
    /// It takes everything again.
    Release(usize),
    /// From now on what the store answers is on its way for so many milliseconds.
    Slow(u64),
    /// The actor is killed.
    Kill,
    /// Time passes, in milliseconds.
    Wait(u64),
    /// Continues the sessions that are ready.
    Yield,
}

fn hint() -> impl Strategy<Value = Hint> {
    prop_oneof![
        6 => Just(Hint::AnnouncedMessage), 1 => Just(Hint::Lost), 1 => Just(Hint::Doubled),
        1 => Just(Hint::Late)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(hint(), 1..20).prop_map(Step::Added),
        2 => Just(Step::Late),
        2 => Just(Step::Undelivered),
        2 => (0i64..=1_000).prop_map(Step::Since),
        1 => Just(Step::Live),
        2 => (0usize..8).prop_map(Step::End),
        2 => (0usize..8, 0usize..100).prop_map(|(which, room)| Step::Stall(which, room)),
        2 => (0usize..8).prop_map(Step::Release),
        2 => (0u64..30).prop_map(Step::Slow),
        1 => Just(Step::Kill),
        3 => prop_oneof![0u64..40, 0u64..20_000].prop_map(Step::Wait),
        4 => Just(Step::Yield),
    ]
}

/// A session with where it began.
struct Walker {
    begin: Begin,
    conn: TestClient,
}

struct Walk {
    node: TestNode,
    walkers: Vec<Walker>,
    late: Vec<Change>,
}

impl Walk {
    fn head(&self) -> i64 {
        self.node.store.head_now(USER).last_seq.0
    }

    fn tell(&self, change: Change) {
        self.node.hub.users.tell(USER, change);
    }

    async fn attach(&mut self, begin: Begin) {
        let day = Duration::from_secs(86_400);
        let (session, probe) = self.node.try_attach(1, begin, None, day).await;
        // Turned away as one too many, or while its actor is kept down after kills.
        if let Ok(session) = session {
            self.walkers.push(Walker { begin, conn: TestClient { session, probe } });
        }
    }

    async fn step(&mut self, step: Step) {
        let index = |which: usize| which % self.walkers.len().max(1);
        match step {
            Step::Added(hints) => {
                for hint in hints {
                    let change = self.node.store.append(USER, "x");
                    match hint {
                        Hint::AnnouncedMessage => self.tell(change),
                        Hint::Lost => {}
                        Hint::Doubled => {
                            self.tell(change.clone());
                            self.tell(change);
                        }
                        Hint::Late => self.late.push(change),
                    }
                }
            }
            Step::Late => {
                while let Some(change) = self.late.pop() {
                    self.tell(change);
                }
            }
            Step::Undelivered => self.attach(Begin::Undelivered).await,
            Step::Since(share) => self.attach(since(self.head() * share / 1_000)).await,
            Step::Live => self.attach(Begin::Live).await,
            Step::End(which) => {
                if let Some(walker) = self.walkers.get(index(which)) {
                    walker.conn.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
                }
            }
            Step::Stall(which, room) => {
                if let Some(walker) = self.walkers.get(index(which)) {
                    walker.conn.probe.set(|seen| seen.room = Some(room));
                    walker.conn.session.heard(Heard::Writable);
                }
            }
            Step::Release(which) => {
                if let Some(walker) = self.walkers.get(index(which)) {
                    walker.release();
                }
            }
            Step::Slow(ms) => self.node.slow(ms),
            Step::Kill => {
                let _ = self.node.hub.kill_at("user/1").await;
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Yield => tokio::task::yield_now().await,
        }
    }

    /// Everything that some session's connection took, or that a client said it had.
    fn known(&self, before: usize) -> BTreeSet<i64> {
        let mut known = BTreeSet::new();
        for walker in &self.walkers[..before] {
            if let Begin::Since(since) = walker.begin {
                known.extend(1..=since.0);
            }
            known.extend(walker.conn.probe.numbers());
        }
        known
    }

    async fn check(&mut self) -> Result<(), TestCaseError> {
        for walker in &self.walkers {
            walker.release();
        }
        // Past every back-off; the last one shows whether anything was counted that none was sent.
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.attach(Begin::Undelivered).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let last = self.node.store.append(USER, "the last");
        self.tell(last);
        let head = self.head();
        for (index, walker) in self.walkers.iter().enumerate() {
            let is_open = walker.conn.probe.seen().closed.is_none();
            let numbers = if is_open {
                walker.conn.probe.shown(head).await
            } else {
                walker.conn.probe.numbers()
            };
            let first = numbers.first().copied().unwrap_or(head);
            let count = i64::try_from(numbers.len()).unwrap();
            prop_assert_eq!(&numbers, &(first..first + count).collect::<Vec<_>>());
            if let (Begin::Since(since), false) = (walker.begin, numbers.is_empty()) {
                prop_assert_eq!(first, since.0 + 1);
            }
            if walker.begin == Begin::Undelivered && !numbers.is_empty() {
                let known = self.known(index);
                let never = (1..first).find(|number| !known.contains(number));
                prop_assert_eq!(never, None, "counted as delivered, and never shown");
            }
        }
        let open = self.walkers.iter().filter(|walker| walker.conn.probe.seen().closed.is_none());
        prop_assert!(open.count() > 0, "the last session at least is there");
        Ok(())
    }
}

impl Walker {
    fn release(&self) {
        self.conn.probe.set(|seen| seen.room = None);
        // The first writer notices: the outlet, or the actor with the next frame.
        let is_reported = self.conn.probe.seen().frames.len().is_multiple_of(2);
        let heard = if is_reported { Heard::Writable } else { Heard::Ping(None) };
        self.conn.session.heard(heard);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]
    #[test]
    fn no_session_is_shown_a_gap_a_double_or_a_step_back(
        backlog in 0usize..=500,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let limits = HubLimits { replay_max: 5_000, ..HubLimits::default() };
            let node = TestNode::with(limits).await;
            node.born(1, backlog);
            let mut walk = Walk { node, walkers: Vec::new(), late: Vec::new() };
            for step in steps {
                walk.step(step).await;
            }
            walk.check().await
        })?;
    }
}
