//! Following an inbox, without a runtime: hints in every order, doubled and lost, and readings of
//! the store that are late, against a model of the inbox; seen by both kinds of sessions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::follow::{Follow, Source};
use super::stretch::{Item, Shape, Shows, Stretch};
use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::{Change, Entry, Head, Mark, Marked, Row, RowState};
use bellpull_port::testing::content;

/// An inbox as the store keeps it.
#[derive(Default)]
struct Model {
    head: Head,
    rows: Vec<Row>,
    announced: Vec<Change>,
}

impl Model {
    fn bear(&mut self) {
        let seq = self.head.append();
        let id = NotificationId(seq.0 * 10);
        let entry = Entry { id, seq, is_read: false, message: content("x") };
        self.rows.push(Row { entry: entry.clone(), changed_seq: seq, is_deleted: false });
        self.announced.push(Change::Added { entry, unread_count: self.head.unread_count });
    }

    fn mark(&mut self, from: usize, count: usize, mark: Mark) {
        let mut marked: Vec<(NotificationId, Seq)> = Vec::new();
        for row in self.rows.iter_mut().skip(from).take(count) {
            let state = match (row.is_deleted, row.entry.is_read) {
                (true, _) => RowState::Deleted,
                (false, true) => RowState::Read,
                (false, false) => RowState::Unread,
            };
            if let Some((seq, after)) = self.head.mark(state, mark) {
                row.changed_seq = seq;
                row.entry.is_read = after == RowState::Read;
                row.is_deleted = after == RowState::Deleted;
                marked.push((row.entry.id, seq));
            }
        }
        let (Some((_, first)), Some((_, last))) = (marked.first(), marked.last()) else { return };
        let (first, last) = (*first, *last);
        let ids = marked.into_iter().map(|(id, _)| id).collect();
        let unread_count = self.head.unread_count;
        self.announced.push(Change::Marked(Marked { mark, ids, first, last, unread_count }));
    }

    /// The result of a read of the store now.
    fn read(&self, after: Seq) -> Stretch {
        let changed = self.rows.iter().filter(|row| row.changed_seq > after);
        let mut rows: Vec<Row> = changed.cloned().collect();
        rows.sort_by_key(|row| row.changed_seq);
        Stretch::of_changes(after, self.head, rows, Vec::new())
    }
}

/// A client's state.
struct Viewer {
    shows: Shows,
    at: Seq,
    /// The rows that it has, and whether they were read.
    has: BTreeMap<NotificationId, bool>,
    /// The births that it was shown.
    entries: Vec<Seq>,
    unread_count: i64,
}

impl Viewer {
    fn change(&mut self, change: &Change) -> Result<(), TestCaseError> {
        if change.last() <= self.at {
            return Ok(());
        }
        prop_assert_eq!(change.first(), self.at.next(), "a gap");
        match change {
            Change::Added { entry, unread_count } => {
                prop_assert!(self.has.insert(entry.id, entry.is_read).is_none(), "a double");
                self.entries.push(entry.seq);
                self.unread_count = *unread_count;
            }
            Change::Marked(marked) => {
                for id in &*marked.ids {
                    self.mark(*id, marked.mark == Mark::Read, marked.mark == Mark::Delete);
                }
                self.unread_count = marked.unread_count;
            }
        }
        self.at = change.last();
        Ok(())
    }

    fn mark(&mut self, id: NotificationId, is_read: bool, is_deleted: bool) {
        if is_deleted {
            self.has.remove(&id);
        } else if let Some(was_read) = self.has.get_mut(&id) {
            *was_read = is_read;
        }
    }

    fn read(&mut self, stretch: &Stretch) -> Result<(), TestCaseError> {
        let items = stretch.items(self.shows, self.at);
        for (nth, item) in items.iter().enumerate() {
            check_resumable(item, &items[nth + 1..])?;
        }
        for item in items {
            prop_assert!(item.last() >= self.at, "a step back");
            self.at = item.last();
            match item {
                Item::Row { line, shape: Shape::Row { is_news: false, .. }, .. } => {
                    self.mark(line.id, line.is_read, line.is_deleted);
                }
                Item::Row { line, shape, .. } => {
                    prop_assert_eq!(self.shows == Shows::Entries, shape == Shape::Added);
                    prop_assert!(self.has.insert(line.id, line.is_read).is_none(), "a double");
                    self.entries.push(line.seq);
                }
                Item::Reached { unread_count, .. } => self.unread_count = unread_count,
                Item::Live(_) | Item::Read(_) => prop_assert!(false, "{item:?}"),
            }
        }
        Ok(())
    }

    fn check(&self, model: &Model) -> Result<(), TestCaseError> {
        let rows = model.rows.iter().filter(|row| !row.is_deleted);
        let wanted: BTreeMap<_, _> = rows.map(|row| (row.entry.id, row.entry.is_read)).collect();
        prop_assert_eq!(&self.has, &wanted);
        prop_assert_eq!(self.unread_count, model.head.unread_count);
        prop_assert_eq!(self.at, model.head.last_seq);
        if self.shows == Shows::Entries {
            prop_assert!(self.entries.is_sorted(), "births come in their order");
        }
        Ok(())
    }
}

/// A client that resumes from a resumable position is still shown all later entries as new.
fn check_resumable(item: &Item, later: &[Item]) -> Result<(), TestCaseError> {
    let Item::Row { line, shape: Shape::Row { is_resumable, .. }, .. } = item else {
        return Ok(());
    };
    let is_missed = |later: &Item| {
        let news = Shape::Row { is_news: true, is_resumable: true };
        let Item::Row { line: later, shape, .. } = later else { return false };
        (*shape == news || *shape == Shape::Row { is_news: true, is_resumable: false })
            && later.seq <= line.changed_seq
    };
    prop_assert_eq!(*is_resumable, !later.iter().any(is_missed));
    Ok(())
}

#[derive(Debug, Clone)]
enum Step {
    Entry,
    Mark(usize, usize, Mark),
    /// One of the latest hints arrives, counted from the last.
    Hint(usize),
    /// The store is read for the gap …
    Read,
    /// … and the answer arrives.
    Filled,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mark = prop_oneof![Just(Mark::Read), Just(Mark::Unread), Just(Mark::Delete)];
    let step = prop_oneof![
        4 => Just(Step::Entry),
        3 => (0usize..30, 1usize..6, mark).prop_map(|(from, n, mark)| Step::Mark(from, n, mark)),
        8 => prop_oneof![3 => Just(0), 1 => 0usize..12].prop_map(Step::Hint),
        1 => Just(Step::Read),
        2 => Just(Step::Filled),
    ];
    prop::collection::vec(step, 0..200)
}

struct World {
    model: Model,
    follow: Follow,
    viewers: [Viewer; 2],
}

impl World {
    fn apply(&mut self, changes: &[Change]) -> Result<(), TestCaseError> {
        changes.iter().try_for_each(|change| {
            self.viewers.iter_mut().try_for_each(|viewer| viewer.change(change))
        })
    }

    fn fill(&mut self, stretch: &Stretch) -> Result<(), TestCaseError> {
        let Some(then) = self.follow.fill(stretch) else { return Ok(()) };
        self.viewers.iter_mut().try_for_each(|viewer| viewer.read(stretch))?;
        self.apply(&then)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
    #[test]
    fn every_order_of_hints_becomes_one_sequence_for_both_kinds_of_sessions(
        steps in steps(),
        ahead in 0usize..20,
    ) {
        let viewer = |shows| Viewer {
            shows, at: Seq::ZERO, has: BTreeMap::new(), entries: Vec::new(), unread_count: 0,
        };
        let viewers = [viewer(Shows::Entries), viewer(Shows::Changes)];
        let mut world = World { model: Model::default(), follow: Follow::default(), viewers };
        world.follow.begin(Seq::ZERO);
        let mut reading = None;
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Entry => world.model.bear(),
                Step::Mark(from, count, mark) => world.model.mark(from, count, mark),
                Step::Hint(back) => {
                    let announced = &world.model.announced;
                    let index = announced.len().checked_sub(back + 1);
                    if let Some(change) = index.map(|n| announced[n].clone()) {
                        let applied = world.follow.offer(change, Source::Peer);
                        world.apply(&applied)?;
                    }
                }
                Step::Read => {
                    reading = world.follow.at().map(|after| world.model.read(after));
                }
                Step::Filled => {
                    if let Some(stretch) = reading.take() {
                        world.fill(&stretch)?;
                    }
                }
            }
            // A session that began with a later reading of the store than the others.
            if n == ahead {
                let stretch = world.model.read(world.viewers[n % 2].at);
                world.viewers[n % 2].read(&stretch)?;
            }
        }
        let last = world.model.read(world.follow.at().unwrap());
        world.fill(&last)?;
        prop_assert!(!world.follow.has_gap());
        let World { model, viewers, .. } = world;
        viewers.iter().try_for_each(|viewer| viewer.check(&model))?;
    }
}

#[test]
fn the_next_is_applied_an_old_one_dropped_and_a_gap_waits() {
    let mut model = Model::default();
    (0..7).for_each(|_| model.bear());
    let born = |seq: usize| model.announced[seq - 1].clone();
    let numbers =
        |changes: &[Change]| changes.iter().map(|change| change.last().0).collect::<Vec<_>>();
    let mut follow = Follow::default();
    assert!(
        follow.offer(born(4), Source::Own).is_empty(),
        "nothing is applied before the store was read"
    );
    assert_eq!(numbers(&follow.begin(Seq(3))), [4]);
    assert!(follow.offer(born(2), Source::Own).is_empty());
    assert!(follow.offer(born(7), Source::Own).is_empty());
    assert!(follow.has_gap());
    assert!(follow.offer(born(6), Source::Own).is_empty());
    assert_eq!(numbers(&follow.offer(born(5), Source::Own)), [5, 6, 7]);
    assert!(!follow.has_gap());
}

#[test]
fn a_reading_that_does_not_reach_back_to_the_position_says_nothing() {
    let mut model = Model::default();
    (0..7).for_each(|_| model.bear());
    let mut follow = Follow::default();
    assert!(follow.fill(&model.read(Seq(0))).is_none(), "before the first reading");
    follow.begin(Seq(3));
    assert!(follow.fill(&model.read(Seq(5))).is_none());
    assert_eq!(follow.at(), Some(Seq(3)));
    assert!(follow.fill(&model.read(Seq(2))).is_some());
    assert!(follow.fill(&model.read(Seq(2))).is_none(), "it says nothing new");
    assert_eq!(follow.at(), Some(Seq(7)));
}

fn added(seq: i64, id: i64) -> Change {
    let entry =
        Entry { id: NotificationId(id), seq: Seq(seq), is_read: false, message: content("x") };
    Change::Added { entry, unread_count: 1 }
}

fn read(ids: &[i64], first: i64) -> Change {
    let last = first + i64::try_from(ids.len()).unwrap() - 1;
    let ids = ids.iter().map(|id| NotificationId(*id)).collect();
    let (first, last) = (Seq(first), Seq(last));
    Change::Marked(Marked { mark: Mark::Read, ids, first, last, unread_count: 0 })
}

#[test]
fn what_another_node_said_is_unsure_until_the_store_confirms_it() {
    let mut follow = Follow::default();
    follow.begin(Seq(3));
    follow.offer(added(4, 40), Source::Own);
    assert_eq!((follow.sure(), follow.question().claims.len()), (Seq(i64::MAX), 0));
    follow.offer(added(6, 60), Source::Peer);
    assert_eq!(follow.sure(), Seq(i64::MAX), "it waits");
    follow.offer(added(5, 50), Source::Own);
    assert_eq!((follow.at(), follow.sure()), (Some(Seq(6)), Seq(5)));
    follow.offer(read(&[50, 60], 7), Source::Peer);
    let question = follow.question();
    let claims: Vec<_> = question.claims.iter().map(|c| (c.number.0, c.id.0)).collect();
    assert_eq!((question.at, claims), (Some(Seq(8)), vec![(6, 60), (7, 50), (8, 60)]));
    follow.offer(added(9, 90), Source::Peer);
    assert!(follow.contradicts(&added(7, 70)) && follow.contradicts(&read(&[1], 9)));
    assert!(!follow.contradicts(&added(6, 60)) && !follow.contradicts(&added(10, 1)));
    assert!(follow.stands(&question));
    follow.confirmed(&question);
    assert_eq!(follow.sure(), Seq(8));
    assert!(!follow.stands(&question), "an answer that is late");
    follow.confirmed(&question);
    assert_eq!(follow.sure(), Seq(8));
    follow.confirmed(&follow.question());
    assert_eq!(follow.sure(), Seq(i64::MAX));
}

#[test]
fn more_than_can_be_unsure_is_left_to_the_store() {
    let mut follow = Follow::default();
    follow.begin(Seq(0));
    let mut shown = 0;
    while follow.offer(added(shown + 1, shown + 1), Source::Peer).len() == 1 {
        shown += 1;
        assert!(shown < 10_000);
    }
    assert_eq!((follow.at(), follow.question().claims.len()), (Some(Seq(shown)), 1_024));
    assert!(follow.is_full() && follow.has_gap());
    assert!(follow.offer(read(&[7; 512], shown + 1), Source::Peer).is_empty());
    assert_eq!(follow.question().claims.len(), 1_024);
    follow.confirmed(&follow.question());
    assert!(!follow.is_full());
    assert_eq!(follow.offer(read(&[7; 512], shown + 1), Source::Peer).len(), 1);
}

#[test]
fn a_number_that_the_store_has_not_reached_is_forgotten() {
    let mut follow = Follow::default();
    follow.begin(Seq(3));
    follow.heard_of(Seq(i64::MAX));
    follow.offer(added(1_000, 1), Source::Peer);
    assert!(follow.has_gap());
    let heard = follow.target();
    follow.forget_false(heard, Seq(3));
    assert!(!follow.has_gap());
    assert_eq!(follow.offer(added(4, 4), Source::Peer).len(), 1);
    // Heard of after the store was asked.
    let heard = follow.target();
    follow.offer(added(6, 6), Source::Peer);
    follow.forget_false(heard, Seq(4));
    assert!(follow.has_gap());
    assert_eq!(follow.offer(added(5, 5), Source::Peer).len(), 2);
}

#[test]
fn numbers_that_are_given_out_again_are_noticed_and_late_hints_are_not() {
    let mut follow = Follow::default();
    follow.begin(Seq(3));
    for (n, source) in [(4, Source::Own), (5, Source::Peer)] {
        assert!(!follow.is_again(&added(n, n)));
        follow.offer(added(n, n), source);
    }
    assert!(!follow.is_again(&added(3, 3)), "it was read, and its hint came after that");
    assert!(follow.is_again(&added(4, 40)), "the store has lost what it had there");
    assert!(follow.is_again(&read(&[50, 60], 4)));
}
