//! Reads of what several nodes have written: ids from different blocks say nothing about time.

use bellpull_domain::ids::{MessageId, NotificationId, Seq, TicketId, UserId};
use bellpull_domain::search::Search;
use bellpull_domain::user::Role;
use bellpull_port::inbox::{NotificationFilter, TEXTS_BYTES_MAX};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{
    CommentStore, ExplainStore, InboxStore, PageRequest, ProjectStore, RetentionStore, Slice,
    StoreError, TicketStore,
};
use futures_util::future::join_all;

use super::Fixture;
use super::people::{at, first};
use super::postgres::Postgres;
use crate::support::skip::skipped;

/// Two users; tickets, comments and messages whose ids fall while time rises; an inbox of 40 with
/// some read and some deleted entries.
const ROWS: &str = "
    INSERT INTO users (id, username, full_name, role, created_at)
        VALUES (1, 'ada', 'Ada', 'client', 0), (2, 'bob', '', 'developer', 0);
    INSERT INTO tickets SELECT 100 - i, 1, i, 'NEW', 'LOW', 'BUG', 1, 1, i, i, NULL,
        'ticket ' || i, 'text' FROM generate_series(1, 5) i;
    INSERT INTO ticket_assignees VALUES (97, 2, 0);
    INSERT INTO ticket_words SELECT id, array_to_tsvector(string_to_array(title, ' '))
        FROM tickets;
    INSERT INTO comments SELECT 100 - i, 99, 1, 'Ada', 'comment ' || i, i
        FROM generate_series(1, 3) i;
    INSERT INTO messages SELECT i, 'ticket_assigned', 'INFO', 'title ' || i, repeat('x', 20000),
        '', '{}', 99, NULL, 1, 'LOW', 1000 - i, 1 FROM generate_series(1, 40) i;
    INSERT INTO notifications SELECT 1, i, 1000 + i, i, i, NULL, NULL
        FROM generate_series(1, 40) i;
    UPDATE notifications SET read_at = 7, changed_seq = 41 WHERE seq = 3;
    UPDATE notifications SET deleted_at = 8, changed_seq = 42 WHERE seq = 5;
    UPDATE inboxes SET last_seq = 42, unread_count = 38 WHERE user_id = 1;
    INSERT INTO deliveries (id, notification_id, recipient_id, channel, status, due_at)
        SELECT id, id, 1, 'EMAIL', 'SENT', 0 FROM notifications WHERE seq <= 10;";

const ADA: UserId = UserId(1);

async fn fixture() -> Option<Postgres> {
    if let Some(why) = Postgres::missing() {
        skipped(why);
        return None;
    }
    let fixture = Postgres::make().await;
    fixture.execute(ROWS).await;
    Some(fixture)
}

#[tokio::test]
async fn words_of_the_version_before_are_renewed_also_where_its_nodes_still_write() {
    let Some(fixture) = fixture().await else { return };
    let store = &**fixture.store();
    let found = async |text| {
        let search = Some(Search::of(text).unwrap());
        let filter = TicketFilter { search, ..TicketFilter::default() };
        store.tickets(&filter, first(9)).await.unwrap().count
    };
    assert_eq!(store.renew_words(3).await.unwrap(), 3, "rows without a revision");
    assert_eq!(store.renew_words(3).await.unwrap(), 2);
    assert_eq!(store.renew_words(3).await.unwrap(), 0);
    assert_eq!(found("text").await, 5);
    let sql = "UPDATE tickets SET title = 'サーバー障害' WHERE id = 97";
    fixture.execute(sql).await;
    let sql = "INSERT INTO ticket_words (ticket_id, words) VALUES (97, 'サーバー障害'::tsvector) \
               ON CONFLICT (ticket_id) DO UPDATE SET words = excluded.words";
    fixture.execute(sql).await;
    assert_eq!(found("障害").await, 0);
    assert_eq!(store.renew_words(3).await.unwrap(), 1);
    assert_eq!(found("障害").await, 1);
    assert_eq!(store.renew_words(3).await.unwrap(), 0);
}

#[tokio::test]
async fn lists_go_by_time_and_not_by_id() {
    let Some(fixture) = fixture().await else { return };
    let store = &**fixture.store();
    let list = async |filter: TicketFilter, page: PageRequest| {
        let page = store.tickets(&filter, page).await.unwrap();
        let titles: Vec<String> = page.rows.into_iter().map(|ticket| ticket.title).collect();
        (page.count, titles.join(", "))
    };
    let is = |count, titles: &str| (count, titles.to_owned());
    let all = TicketFilter::default;
    let page = |page| PageRequest { page, page_size: 2 };
    assert_eq!(list(all(), page(1)).await, is(5, "ticket 5, ticket 4"));
    assert_eq!(list(all(), page(3)).await, is(5, "ticket 1"));
    assert_eq!(list(all(), page(4)).await, is(5, ""));
    let found = |text| TicketFilter { search: Some(Search::of(text).unwrap()), ..all() };
    assert_eq!(list(found("tick"), page(2)).await, is(5, "ticket 3, ticket 2"));
    assert_eq!(list(found("ticket 4"), page(1)).await, is(1, "ticket 4"));
    assert_eq!(list(found("door"), page(1)).await, is(0, ""));
    let own = TicketFilter { visible_to: Some((ADA, Role::Client)), ..all() };
    assert_eq!(list(own, page(1)).await, is(5, "ticket 5, ticket 4"));
    let assigned = TicketFilter { assigned_to: Some(UserId(2)), ..all() };
    assert_eq!(list(assigned, page(1)).await, is(1, "ticket 3"));

    let comments = store.comments(TicketId(99), page(1)).await.unwrap();
    let bodies: Vec<&str> = comments.rows.iter().map(|comment| &*comment.body).collect();
    assert_eq!((comments.count, bodies), (3, vec!["comment 1", "comment 2"]));
    let after = store.comments(TicketId(99), page(3)).await.unwrap();
    assert_eq!((after.count, after.rows.len()), (3, 0));

    let announced = store.announced(TicketId(99), ADA, first(2)).await.unwrap();
    let seqs: Vec<_> = announced.rows.iter().map(|one| one.row.as_ref().unwrap().seq).collect();
    assert_eq!((announced.count, seqs), (40, vec![Seq(40), Seq(39)]));
    let past = PageRequest { page: 9, page_size: 20 };
    let announced = store.announced(TicketId(99), ADA, past).await.unwrap();
    assert_eq!((announced.count, announced.rows.len()), (40, 0));
    let one = store.announcement(NotificationId(1_005)).await.unwrap().unwrap();
    assert!(one.row.unwrap().deleted_at.is_some());
}

#[tokio::test]
async fn an_inbox_is_read_with_the_texts_that_fit_and_the_others_follow() {
    let Some(fixture) = fixture().await else { return };
    let store = &**fixture.store();
    assert_eq!(store.head(ADA).await.unwrap().unread_count, 38);
    assert_eq!(store.head(UserId(9)).await.unwrap().last_seq, Seq(0));
    let heads = join_all((1..3).map(|user| store.head(UserId(user)))).await;
    assert_eq!(heads.into_iter().map(|head| head.unwrap().last_seq.0).sum::<i64>(), 42);

    let backlog = store.newest_entries(ADA, Seq(0), 30).await.unwrap();
    assert_eq!((backlog.head.last_seq, backlog.skipped), (Seq(42), 9));
    assert_eq!(backlog.entries[0].seq, Seq(11));
    assert_eq!(backlog.entries.len() + backlog.rest.len(), 30);
    let bytes: usize = backlog.entries.iter().map(|entry| entry.message.bytes()).sum();
    assert!(bytes >= TEXTS_BYTES_MAX && !backlog.rest.is_empty(), "{bytes}");
    let rest: Vec<MessageId> = backlog.rest.iter().map(|outline| outline.message).collect();
    let texts = store.texts(&rest).await.unwrap();
    let title = format!("title {}", rest[0].0);
    assert_eq!(texts[0].message.title, title);

    let changed = |rows: &[bellpull_domain::inbox::Row]| -> Vec<(i64, i64)> {
        rows.iter().map(|row| (row.changed_seq.0, row.entry.seq.0)).collect()
    };
    let changes = store.changes(ADA, Seq(38), 3).await.unwrap();
    assert_eq!(changed(&changes.rows), [(39, 39), (40, 40), (41, 3)]);
    let changes = store.newest_changes(ADA, Seq(38), 3).await.unwrap();
    assert_eq!(changed(&changes.rows), [(40, 40), (41, 3), (42, 5)]);
    assert_eq!((changes.skipped, changes.rows[2].is_deleted), (1, true));
    assert!(changes.rows[1].entry.is_read);

    let unread = store.unread_counts(ADA).await.unwrap();
    assert_eq!((unread.0, unread.1[0].1), (38, 8));
    let all = NotificationFilter::default();
    let list = store.notifications(ADA, &all, Slice { offset: 1, limit: 2 }).await.unwrap();
    let seqs: Vec<i64> = list.rows.iter().map(|row| row.seq.0).collect();
    assert_eq!((list.count, seqs), (39, vec![39, 38]));
    let since = NotificationFilter { since_seq: Some(Seq(37)), ticket: Some(TicketId(99)), ..all };
    let list = store.notifications(ADA, &since, Slice { offset: 0, limit: 2 }).await.unwrap();
    let seqs: Vec<i64> = list.rows.iter().map(|row| row.seq.0).collect();
    assert_eq!((list.count, seqs), (3, vec![38, 39]));
    let one = store.notification(ADA, NotificationId(1_003)).await.unwrap().unwrap();
    assert_eq!((one.deliveries.len(), one.recipient_name.as_str()), (1, "Ada"));
    assert!(store.notification(UserId(2), NotificationId(1_003)).await.unwrap().is_none());
}

/// The reply is the port's and never that of a constraint.
#[tokio::test]
async fn of_projects_made_at_once_with_one_key_one_is_made() {
    let Some(fixture) = fixture().await else { return };
    let store = &**fixture.store();
    let make = |_| store.create_project("WEB".to_owned(), "Web".to_owned(), ADA, at(0));
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all((0..4).map(make)).await.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.iter().all(|one| *one == Err(StoreError::Taken("key"))), "{refused:?}");
    let web = made[0].as_ref().unwrap().id;
    assert!(store.is_member(web, ADA).await.unwrap());
    let added = join_all((0..4).map(|_| store.add_member(web, UserId(2)))).await;
    assert_eq!(added.iter().filter(|one| **one == Ok(true)).count(), 1, "{added:?}");
    assert_eq!(added.iter().filter(|one| **one == Ok(false)).count(), 3, "{added:?}");
    assert!(store.share_project(ADA, UserId(2)).await.unwrap());
    let removed = join_all((0..4).map(|_| store.remove_member(web, UserId(2)))).await;
    assert_eq!(removed.iter().filter(|one| **one == Ok(true)).count(), 1, "{removed:?}");
    assert_eq!(store.members(web, first(9)).await.unwrap().count, 1);
    let unknown = store.create_project("APP".to_owned(), "App".to_owned(), UserId(9), at(0)).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
    assert_eq!(store.add_member(web, UserId(9)).await, Err(StoreError::NotFound));
    assert_eq!(store.projects(Some(UserId(2)), first(9)).await.unwrap().count, 1);
}
