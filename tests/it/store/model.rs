//! Random births and marks, beside a model that is only a list.

use std::panic::AssertUnwindSafe;

use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::{Head, Mark, RowState};
use bellpull_domain::user::User;
use bellpull_port::inbox::{NotificationFilter, Selection};
use futures_util::FutureExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::people::{Marks, at, fill, first, people};
use super::{Fixture, Store};

/// Names the environment variable that repeats a run.
const SEED: &str = "MODEL_TEST_SEED";

const WALKS: usize = 8;

/// A walk has at most 24 steps of at most 5 numbers each.
const SHRINKS_MAX: usize = 500;

#[derive(Debug, Clone)]
enum Step {
    Entries(usize),
    Ids(Vec<usize>, Mark),
    UpTo(i64, Mark),
    All(Mark),
}

fn steps() -> impl Strategy<Value = Walk> {
    let mark = || prop_oneof![Just(Mark::Read), Just(Mark::Unread), Just(Mark::Delete)];
    let step = prop_oneof![
        3 => (1usize..4).prop_map(Step::Entries),
        3 => (prop::collection::vec(0usize..12, 1..5), mark()).prop_map(|(n, m)| Step::Ids(n, m)),
        2 => (0i64..20, mark()).prop_map(|(seq, m)| Step::UpTo(seq, m)),
        1 => mark().prop_map(Step::All),
    ];
    prop::collection::vec((0usize..2, step), 1..25)
}

/// A row as the model knows it.
type Row = (NotificationId, Seq, RowState);

#[derive(Debug, Default)]
struct Model {
    head: Head,
    rows: Vec<Row>,
}

impl Model {
    fn mark(&mut self, mark: Mark, chosen: impl Fn(usize, &Row) -> bool) -> Vec<NotificationId> {
        let mut changed = Vec::new();
        for (n, row) in self.rows.iter_mut().enumerate() {
            if chosen(n, row)
                && let Some((_, after)) = self.head.mark(row.2, mark)
            {
                row.2 = after;
                changed.push(row.0);
            }
        }
        changed
    }
}

async fn apply(store: &impl Store, user: &User, model: &mut Model, step: Step) {
    let (selection, mark, changed) = match step {
        Step::Entries(count) => {
            for id in fill(store, user, count).await {
                let seq = model.head.append();
                model.rows.push((id, seq, RowState::Unread));
            }
            return;
        }
        Step::Ids(which, mark) => {
            let ids = which.iter().filter_map(|n| model.rows.get(*n)).map(|row| row.0).collect();
            (Selection::ids(ids), mark, model.mark(mark, |n, _| which.contains(&n)))
        }
        Step::UpTo(seq, mark) => {
            (Selection::up_to(Seq(seq)), mark, model.mark(mark, |_, row| row.1 <= Seq(seq)))
        }
        Step::All(mark) => {
            let all = Selection::all();
            (all, mark, model.mark(mark, |_, _| true))
        }
    };
    let marked = store.mark(user.id, selection, mark, at(9)).await.unwrap();
    let Some(marked) = marked else {
        assert!(changed.is_empty(), "{changed:?} should have changed");
        return;
    };
    assert_eq!(*marked.ids, changed);
    assert_eq!((marked.last, marked.unread_count), (model.head.last_seq, model.head.unread_count));
    assert_eq!(marked.last.0 - marked.first.0 + 1, i64::try_from(changed.len()).unwrap());
}

async fn compare(store: &impl Store, user: &User, model: &Model) {
    assert_eq!(store.head(user.id).await.unwrap(), model.head);
    let page = store
        .notifications(user.id, &NotificationFilter::default(), first(100).into())
        .await
        .unwrap();
    let stored: Vec<Row> = page
        .rows
        .iter()
        .rev()
        .map(|row| {
            let state = if row.read_at.is_some() { RowState::Read } else { RowState::Unread };
            (row.id, row.seq, state)
        })
        .collect();
    let wanted: Vec<Row> =
        model.rows.iter().copied().filter(|row| row.2 != RowState::Deleted).collect();
    assert_eq!(stored, wanted);
}

type Walk = Vec<(usize, Step)>;

/// Takes the steps in two new inboxes, beside their models.
async fn walk(store: &impl Store, walk: Walk, name: &str) {
    let users = people(store, 2, name).await;
    let mut models = [Model::default(), Model::default()];
    for (who, step) in walk {
        apply(store, &users[who], &mut models[who], step).await;
    }
    for (user, model) in users.iter().zip(&models) {
        compare(store, user, model).await;
    }
}

/// The smallest walk found that still fails, from one that does.
async fn smallest(
    mut tree: impl ValueTree<Value = Walk>,
    mut fails: impl AsyncFnMut(Walk) -> bool,
) -> Walk {
    let mut smallest = tree.current();
    let mut goes_on = tree.simplify();
    for _ in 0..SHRINKS_MAX {
        if !goes_on {
            break;
        }
        goes_on = if fails(tree.current()).await {
            smallest = tree.current();
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    smallest
}

/// The seed of [`SEED`], or a random one.
fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| getrandom::u64().unwrap())
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(ProptestConfig::default(), rng)
}

/// The walks are made one after the other on one store: its inboxes only grow older. One that fails
/// is shrunk in new inboxes of that store.
pub(crate) async fn inboxes_behave_as_their_model<F: Fixture>() {
    let seed = seed();
    println!("{SEED}={seed}");
    let mut runner = runner(seed);
    let fixture = F::make().await;
    let store = &**fixture.store();
    let mut tries = 0;
    let mut fails = async |steps: Walk| {
        tries += 1;
        let name = format!("walk{tries}_");
        let walk = walk(store, steps, &name);
        AssertUnwindSafe(walk).catch_unwind().await.is_err()
    };
    for _ in 0..WALKS {
        let tree = steps().new_tree(&mut runner).unwrap();
        if fails(tree.current()).await {
            let steps = smallest(tree, &mut fails).await;
            panic!("{SEED}={seed}; the smallest walk that fails: {steps:?}");
        }
    }
}

#[tokio::test]
async fn a_walk_shrinks_to_the_step_that_fails() {
    let mut runner = runner(7);
    let mut shrunk = 0;
    for _ in 0..32 {
        let tree = steps().new_tree(&mut runner).unwrap();
        let is_all = |(_, step): &(usize, Step)| matches!(step, Step::All(_));
        if !tree.current().iter().any(is_all) {
            continue;
        }
        let steps = smallest(tree, async |steps: Walk| steps.iter().any(is_all)).await;
        assert!(matches!(*steps, [(0, Step::All(Mark::Read))]), "{steps:?}");
        shrunk += 1;
    }
    assert!(shrunk > 0);
}
