//! Marks: each change of a row takes one number, and only a change does.

use bellpull_domain::ids::{NotificationId, Seq, TicketId};
use bellpull_domain::inbox::{MARKED_MAX, Mark, Marked};
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::{MarkPortion, NotificationFilter, Selection};
use bellpull_port::{InboxStore, TicketStore};
use futures_util::future::{join, join3};

use super::people::{Marks, at, fill, first, head, news, people, person, raise, tell};
use super::{Fixture, Store};
use crate::support::many;

fn marked(mark: Mark, ids: &[NotificationId], numbers: (i64, i64), unread: i64) -> Option<Marked> {
    let (first, last) = (Seq(numbers.0), Seq(numbers.1));
    Some(Marked { mark, ids: ids.into(), first, last, unread_count: unread })
}

pub(crate) async fn marks_change_rows_once<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    let ids = fill(store, &user, 3).await;
    let mark = |mark, which: &[usize]| {
        let ids = which.iter().map(|n| ids[*n]).collect();
        store.mark(user.id, Selection::ids(ids), mark, at(9))
    };
    let read = mark(Mark::Read, &[2, 0, 2]).await.unwrap();
    assert_eq!(read, marked(Mark::Read, &[ids[0], ids[2]], (4, 5), 1));
    assert_eq!(mark(Mark::Read, &[0, 2]).await.unwrap(), None);
    assert_eq!(store.head(user.id).await.unwrap(), head(5, 1, 0), "the second time took nothing");
    let row = store.notification(user.id, ids[0]).await.unwrap().unwrap();
    assert_eq!((row.read_at, row.seq), (Some(at(9)), Seq(1)));

    let unread = mark(Mark::Unread, &[0, 1]).await.unwrap();
    assert_eq!(unread, marked(Mark::Unread, &[ids[0]], (6, 6), 2));
    assert_eq!(mark(Mark::Unread, &[0]).await.unwrap(), None);
    assert_eq!(store.notification(user.id, ids[0]).await.unwrap().unwrap().read_at, None);
    assert_eq!(mark(Mark::Delete, &[2]).await.unwrap(), marked(Mark::Delete, &[ids[2]], (7, 7), 2));
    assert_eq!(mark(Mark::Delete, &[2]).await.unwrap(), None);
}

pub(crate) async fn marks_pass_over_what_is_not_the_users<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 2, "client").await;
    let theirs = fill(store, &users[0], 1).await;
    let ours = fill(store, &users[1], 1).await;
    let both = Selection::ids(vec![theirs[0], ours[0], NotificationId(999)]);
    let read = store.mark(users[1].id, both, Mark::Read, at(9)).await.unwrap();
    assert_eq!(read, marked(Mark::Read, &ours, (2, 2), 0));
    assert_eq!(store.head(users[0].id).await.unwrap(), head(1, 1, 0));
    let theirs = Selection::ids(theirs);
    assert_eq!(store.mark(users[1].id, theirs, Mark::Delete, at(9)).await.unwrap(), None);
    let all = Selection::all();
    let unknown = bellpull_domain::ids::UserId(999);
    assert_eq!(store.mark(unknown, all, Mark::Read, at(9)).await.unwrap(), None);
}

pub(crate) async fn a_delete_leaves_a_tombstone<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    let ids = fill(store, &user, 2).await;
    let one = || Selection::ids(vec![ids[0]]);
    store.mark(user.id, one(), Mark::Read, at(9)).await.unwrap();
    let gone = store.mark(user.id, one(), Mark::Delete, at(9)).await.unwrap();
    assert_eq!(gone, marked(Mark::Delete, &ids[..1], (4, 4), 1));
    for mark in [Mark::Read, Mark::Unread, Mark::Delete] {
        assert_eq!(store.mark(user.id, one(), mark, at(10)).await.unwrap(), None, "{mark:?}");
    }
    assert_eq!(store.notification(user.id, ids[0]).await.unwrap(), None);
    let filter = NotificationFilter::default();
    assert_eq!(store.notifications(user.id, &filter, first(10).into()).await.unwrap().count, 1);
    // Its number is never given again.
    assert_eq!(fill(store, &user, 1).await.len(), 1);
    assert_eq!(store.head(user.id).await.unwrap(), head(5, 2, 0));
}

pub(crate) async fn up_to_marks_the_older_ones<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    let ids = fill(store, &user, 4).await;
    let up_to = |seq, mark| store.mark(user.id, Selection::up_to(Seq(seq)), mark, at(9));
    assert_eq!(up_to(2, Mark::Read).await.unwrap(), marked(Mark::Read, &ids[..2], (5, 6), 2));
    assert_eq!(up_to(3, Mark::Read).await.unwrap(), marked(Mark::Read, &ids[2..3], (7, 7), 1));
    assert_eq!(up_to(0, Mark::Read).await.unwrap(), None);
    assert_eq!(up_to(2, Mark::Unread).await.unwrap(), marked(Mark::Unread, &ids[..2], (8, 9), 3));
    assert_eq!(up_to(99, Mark::Delete).await.unwrap(), marked(Mark::Delete, &ids, (10, 13), 0));
    assert_eq!(store.head(user.id).await.unwrap(), head(13, 0, 0));
}

pub(crate) async fn all_can_be_narrowed<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let first = raise(store, "by e-mail", &client).await;
    raise(store, "by e-mail too", &client).await;
    let sms = tell(store, "on all channels", &client, &[admin.id]).await.entries[0].id;
    let all = |channel, ticket, mark| {
        let filter = NotificationFilter { channel, ticket, ..NotificationFilter::default() };
        store.mark(admin.id, Selection::matching(filter), mark, at(9))
    };
    let read = all(Some(Channel::Sms), None, Mark::Read).await.unwrap();
    assert_eq!(read, marked(Mark::Read, &[sms], (4, 4), 2));
    let of_ticket = all(None, Some(first.ticket.id), Mark::Read).await.unwrap().unwrap();
    assert_eq!(*of_ticket.ids, [first.announced.unwrap().entries[0].id]);
    let nothing = all(Some(Channel::Sms), Some(first.ticket.id), Mark::Delete).await.unwrap();
    assert_eq!(nothing, None);
    assert_eq!(all(Some(Channel::Push), None, Mark::Read).await.unwrap(), None);
    let rest = all(Some(Channel::System), None, Mark::Read).await.unwrap().unwrap();
    assert_eq!((rest.ids.len(), rest.unread_count), (1, 0));
    let unread = all(None, None, Mark::Unread).await.unwrap().unwrap();
    assert_eq!((unread.ids.len(), unread.unread_count), (3, 3));
    let gone = all(None, None, Mark::Delete).await.unwrap().unwrap();
    assert_eq!((gone.ids.len(), gone.unread_count), (3, 0));
}

pub(crate) async fn numbers_follow_births<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    let ids = fill(store, &user, 4).await;
    let shuffled = Selection::ids(vec![ids[3], ids[0], ids[2]]);
    let read = store.mark(user.id, shuffled, Mark::Read, at(9)).await.unwrap();
    assert_eq!(read, marked(Mark::Read, &[ids[0], ids[2], ids[3]], (5, 7), 1));
}

pub(crate) async fn marks_on_one_inbox_in_one_group_see_each_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    let ids = fill(store, &user, 3).await;
    let all = || Selection::all();
    let (read, again, unread) = join3(
        store.mark(user.id, all(), Mark::Read, at(9)),
        store.mark(user.id, all(), Mark::Read, at(9)),
        store.mark(user.id, Selection::ids(vec![ids[1]]), Mark::Unread, at(9)),
    )
    .await;
    assert_eq!(read.unwrap(), marked(Mark::Read, &ids, (4, 6), 0));
    assert_eq!(again.unwrap(), None);
    assert_eq!(unread.unwrap(), marked(Mark::Unread, &ids[1..2], (7, 7), 1));
    assert_eq!(store.head(user.id).await.unwrap(), head(7, 1, 0));
}

pub(crate) async fn marks_and_births_of_one_group_share_the_numbers<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    fill(store, &user, 2).await;
    let decision = news(store, "meanwhile", &user, &[user.id]).await;
    let all = Selection::all();
    let (announced, read) =
        join(store.commit(decision), store.mark(user.id, all, Mark::Read, at(9))).await;
    let placed = announced.unwrap().announced.unwrap().entries[0];
    let read = read.unwrap().unwrap();
    let mut numbers: Vec<i64> = (read.first.0..=read.last.0).collect();
    numbers.push(placed.seq.0);
    numbers.sort_unstable();
    let wanted: Vec<i64> = (3..).take(numbers.len()).collect();
    assert_eq!(numbers, wanted, "each number is one change");
    let found = store.head(user.id).await.unwrap();
    let filter = NotificationFilter { is_read: Some(false), ..NotificationFilter::default() };
    let unread = store.notifications(user.id, &filter, first(10).into()).await.unwrap().count;
    assert_eq!(found.unread_count, unread);
}

pub(crate) async fn a_long_inbox_is_read_at_once<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await;
    for _ in 0..12 {
        let mut group = Vec::new();
        for n in 0..50 {
            group.push(store.commit(news(store, &format!("n{n}"), &user, &[user.id]).await));
        }
        futures_util::future::try_join_all(group).await.unwrap();
    }
    let all = || Selection::all();
    let read = store.mark(user.id, all(), Mark::Read, at(9)).await.unwrap().unwrap();
    assert_eq!((read.ids.len(), read.first.0, read.last.0), (600, 601, 1200));
    assert!(read.ids.is_sorted());
    assert_eq!(store.mark(user.id, all(), Mark::Read, at(9)).await.unwrap(), None);
    assert_eq!(store.head(user.id).await.unwrap(), head(1200, 0, 0));
}

/// Portions of a mark of all, as the hub asks for them.
async fn next(store: &impl Store, portion: &mut MarkPortion) -> (usize, Option<i64>) {
    let MarkedPortion { changes, rest } = store.mark_portion(portion.clone()).await.unwrap();
    assert!(changes.iter().all(|change| (1..=MARKED_MAX).contains(&change.ids.len())));
    for pair in changes.windows(2) {
        assert_eq!(pair[0].last.next(), pair[1].first);
    }
    if let Some(last) = changes.last() {
        let head = store.head(portion.user).await.unwrap();
        assert_eq!((last.last, last.unread_count), (head.last_seq, head.unread_count));
    }
    portion.before = rest;
    (changes.iter().map(|change| change.ids.len()).sum(), rest.map(|seq| seq.0))
}

pub(crate) async fn a_large_inbox_is_marked_in_portions<F: Fixture>() {
    let fixture = F::make().await;
    let user = person(&**fixture.store(), "client", "client").await;
    fixture.execute(&many::inbox(user.id.0, 12_345)).await;
    let all = |mark| MarkPortion::first(user.id, Selection::all(), mark, at(9));
    let mut read = all(Mark::Read);
    assert_eq!(next(&**fixture.store(), &mut read).await, (1_000, Some(11_346)));
    // What comes meanwhile is in no portion, and a crash in between leaves what was written.
    tell(&**fixture.store(), "meanwhile", &user, &[user.id]).await;
    assert_eq!(next(&**fixture.store(), &mut read).await, (5_000, Some(6_346)));
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert_eq!(store.head(user.id).await.unwrap().unread_count, 6_346);
    assert_eq!(next(store, &mut read).await, (5_000, Some(1_346)));
    assert_eq!(next(store, &mut read).await, (1_345, None));
    assert_eq!(store.head(user.id).await.unwrap(), head(2 * 12_345 + 1, 1, 0));
    // The same once more takes the one that came, and need not look at the others.
    assert_eq!(next(store, &mut all(Mark::Read)).await, (1, None));

    // The bound is on the rows that are looked at, however few of them match.
    let ticket = Some(TicketId(1));
    let filter = NotificationFilter { ticket, ..NotificationFilter::default() };
    let mut gone =
        MarkPortion::first(user.id, Selection::matching(filter.clone()), Mark::Delete, at(9));
    let mut sizes = Vec::new();
    loop {
        let (size, rest) = next(store, &mut gone).await;
        sizes.push(size);
        if rest.is_none() {
            break;
        }
    }
    assert_eq!(sizes.iter().sum::<usize>(), 1_241, "the one that came is about that ticket");
    assert!(sizes.len() >= 4 && sizes.iter().all(|size| *size <= 600), "{sizes:?}");
    assert_eq!(store.notifications(user.id, &filter, first(1).into()).await.unwrap().count, 0);
    let deleted = store.mark(user.id, Selection::all(), Mark::Delete, at(9)).await.unwrap();
    assert_eq!(deleted.unwrap().ids.len(), 12_346 - 1_241);
    let filter = NotificationFilter::default();
    assert_eq!(store.notifications(user.id, &filter, first(1).into()).await.unwrap().count, 0);
}
