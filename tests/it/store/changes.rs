//! Inboxes as a log of changes, in which each row stands once, in its latest state.

use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::{Mark, Row};
use bellpull_domain::user::User;
use bellpull_port::InboxStore;
use bellpull_port::inbox::ChangedRows;
use bellpull_port::inbox::Selection;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::people::{Marks, at, fill, head, person, tell};
use super::{Fixture, Store};

/// A row of a log: its last change, its birth, whether it is read, whether it is gone.
type Line = (i64, i64, NotificationId, bool, bool);

fn line(row: &Row) -> Line {
    (row.changed_seq.0, row.entry.seq.0, row.entry.id, row.entry.is_read, row.is_deleted)
}

#[derive(Debug, Clone)]
enum Step {
    Entries(usize),
    Mark(Vec<usize>, Mark),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mark = prop_oneof![Just(Mark::Read), Just(Mark::Unread), Just(Mark::Delete)];
    let step = prop_oneof![
        (1usize..4).prop_map(Step::Entries),
        (prop::collection::vec(0usize..15, 1..6), mark).prop_map(|(n, m)| Step::Mark(n, m)),
    ];
    prop::collection::vec(step, 1..20)
}

/// Walks through an inbox; what its log must say then, in the order of the last changes.
async fn walk(store: &impl Store, user: &User, steps: Vec<Step>) -> Vec<Line> {
    let mut log: Vec<Line> = Vec::new();
    let mut last = 0;
    for step in steps {
        match step {
            Step::Entries(count) => {
                for id in fill(store, user, count).await {
                    last += 1;
                    log.push((last, last, id, false, false));
                }
            }
            Step::Mark(which, mark) => {
                let mut rows: Vec<&mut Line> = log.iter_mut().collect();
                rows.sort_by_key(|row| row.1);
                let mut ids = Vec::new();
                for (n, row) in rows.into_iter().enumerate() {
                    let changes = match mark {
                        Mark::Read => !row.3,
                        Mark::Unread => row.3,
                        Mark::Delete => true,
                    };
                    if which.contains(&n) {
                        ids.push(row.2);
                        if changes && !row.4 {
                            last += 1;
                            row.0 = last;
                            match mark {
                                Mark::Read => row.3 = true,
                                Mark::Unread => row.3 = false,
                                Mark::Delete => row.4 = true,
                            }
                        }
                    }
                }
                store.mark(user.id, Selection::ids(ids), mark, at(9)).await.unwrap();
            }
        }
    }
    log.sort_unstable();
    log
}

pub(crate) async fn changes_are_a_compacted_log<F: Fixture>() {
    let mut runner = TestRunner::default();
    let fixture = F::make().await;
    let store = &**fixture.store();
    for n in 0..8 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        println!("walk {n}: {steps:?}");
        let user = person(store, &format!("walker{n}"), "client").await;
        let log = walk(store, &user, steps).await;
        let last = store.head(user.id).await.unwrap().last_seq.0;
        for after in 0..=last + 1 {
            let wanted: Vec<Line> = log.iter().copied().filter(|row| row.0 > after).collect();
            let ChangedRows { head, rows, .. } =
                store.changes(user.id, Seq(after), 1000).await.unwrap();
            assert_eq!(head.last_seq.0, last);
            assert_eq!(rows.iter().map(line).collect::<Vec<_>>(), wanted, "after {after}");
            for limit in [1, 3] {
                let newest = store.newest_changes(user.id, Seq(after), limit).await.unwrap();
                let shown = wanted.len().min(usize::try_from(limit).unwrap());
                let (old, new) = wanted.split_at(wanted.len() - shown);
                assert_eq!(newest.rows.iter().map(line).collect::<Vec<_>>(), new);
                assert_eq!(newest.skipped, i64::try_from(old.len()).unwrap(), "after {after}");
            }
        }
    }
}

pub(crate) async fn changes_are_paged_without_gap<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ids = fill(store, &client, 9).await;
    let old: Vec<NotificationId> = ids.iter().copied().step_by(2).collect();
    store.mark(client.id, Selection::ids(old), Mark::Read, at(9)).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), Seq::ZERO);
    loop {
        let ChangedRows { rows, .. } = store.changes(client.id, after, 2).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = last.changed_seq;
        seen.extend(rows.iter().map(|row| row.changed_seq.0));
    }
    assert_eq!(seen, [2, 4, 6, 8, 10, 11, 12, 13, 14]);
}

pub(crate) async fn newest_changes_say_how_many_they_leave_out<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let other = person(store, "other", "client").await;
    let ids = fill(store, &client, 6).await;
    tell(store, "elsewhere", &client, &[other.id]).await;
    store.mark(client.id, Selection::ids(vec![ids[0]]), Mark::Delete, at(9)).await.unwrap();
    store.mark(client.id, Selection::ids(vec![ids[1]]), Mark::Read, at(9)).await.unwrap();
    let newest = store.newest_changes(client.id, Seq::ZERO, 3).await.unwrap();
    assert_eq!(newest.head, head(8, 4, 0));
    assert_eq!(newest.skipped, 3, "a tombstone is a change too");
    let seen: Vec<_> = newest.rows.iter().map(line).collect();
    assert_eq!(
        seen,
        [(6, 6, ids[5], false, false), (7, 1, ids[0], false, true), (8, 2, ids[1], true, false)]
    );
    assert_eq!(newest.rows[2].entry.message.message.event.as_str(), "news1");
    let newest = store.newest_changes(client.id, Seq(6), 3).await.unwrap();
    assert_eq!((newest.rows.len(), newest.skipped), (2, 0));
}
