//! The suite on SQLite with every row written later that may be, and what is deferring's own: it
//! cannot be told from writing at once, whatever comes between.

use std::time::{Duration, Instant};

use bellpull::storage::sqlite::{SqliteStore, StoreOptions};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::{Head, Mark};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::user::User;
use bellpull_port::analytics::ReportFilter;
use bellpull_port::inbox::ChangedRows;
use bellpull_port::inbox::{NotificationFilter, Selection};
use bellpull_port::sends::BeginSend;
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, ExplainStore, InboxStore, ReportStore, SendStore};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::Connection;
use tempfile::TempDir;

use super::people::{Marks, at, entries, first, head, people, person, tell};
use super::sends::send;
use super::sqlite::{beside, file, hub, open};
use super::suite;

suite!(crate::store::sqlite::Sqlite<1>);

/// A hub's, on which what goes to three and more is written later.
fn deferring() -> StoreOptions {
    let channels = Channels::of(&[Channel::Email]);
    StoreOptions { channels, defer_from: 3, ..hub() }
}

/// A store, and some people in it.
struct House {
    store: SqliteStore,
    people: Vec<User>,
    ids: Vec<UserId>,
    url: String,
    _directory: TempDir,
}

async fn house(count: usize, options: StoreOptions) -> House {
    let (_directory, url) = file();
    let store = open(&url, options).await;
    let people = people(&store, count, "client").await;
    let ids = people.iter().map(|user| user.id).collect();
    House { store, people, ids, url, _directory }
}

/// Something that stays in the house.
fn word(by: &User, to: &[UserId], text: &str) -> NewSend {
    let mut send = send(by.id, Recipients::Users(to.to_vec()));
    send.message.event = Event::from_name(text);
    NewSend { channels: Channels::of(&[Channel::System]), ..send }
}

async fn say(store: &SqliteStore, by: &User, to: &[UserId], text: &str) -> AnnouncedMessage {
    let begun = store.begin_send(word(by, to, text), 1_000, at(10)).await.unwrap();
    let BeginSend::Begun { announced: Some(announced), .. } = begun else { panic!("{begun:?}") };
    announced
}

/// How many rows the inboxes have, and how many lists there are of rows still to be written.
async fn written(store: &SqliteStore) -> (i64, i64) {
    let mut other = beside(store).await;
    let sql = "SELECT (SELECT count(*) FROM notifications), (SELECT count(*) FROM deferred_births)";
    let counts = sqlx::query_as(sql).fetch_one(&mut other).await.unwrap();
    other.close().await.unwrap();
    counts
}

/// What a crash would leave of it, opened.
async fn after_a_crash(store: &SqliteStore, options: StoreOptions) -> (TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("hub.db");
    // The file before its log: the log is too short to be checkpointed meanwhile.
    std::fs::copy(store.path(), &copy).unwrap();
    let log = |path: &std::path::Path| path.with_extension("db-wal");
    std::fs::copy(log(store.path()), log(&copy)).unwrap();
    let store = open(&format!("sqlite://{}", copy.display()), options).await;
    (directory, store)
}

#[derive(Debug, Clone)]
enum Step {
    /// To some of the four, in the house.
    Say(Vec<usize>),
    /// To some of the four, by e-mail too: at once.
    Tell(Vec<usize>),
    Mark(usize, i64, Mark),
    Delivered(usize, i64),
    /// A list is read.
    Look(usize),
    /// A user's preferences change, and with them the cached facts.
    Rename(usize),
    Stop,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0_usize..4;
    let some =
        || prop::collection::btree_set(who(), 1..=4).prop_map(|some| some.into_iter().collect());
    let mark = prop_oneof![Just(Mark::Read), Just(Mark::Unread), Just(Mark::Delete)];
    let step = prop_oneof![
        6 => some().prop_map(Step::Say),
        2 => some().prop_map(Step::Tell),
        2 => (who(), 0_i64..12, mark).prop_map(|(who, seq, mark)| Step::Mark(who, seq, mark)),
        2 => (who(), 1_i64..12).prop_map(|(who, seq)| Step::Delivered(who, seq)),
        2 => who().prop_map(Step::Look),
        1 => who().prop_map(Step::Rename),
        1 => Just(Step::Stop),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..30)
}

/// One store, and the people in it.
struct Walker {
    url: String,
    directory: TempDir,
    options: StoreOptions,
    store: SqliteStore,
    people: Vec<User>,
}

impl Walker {
    async fn begin(options: StoreOptions) -> Self {
        let (directory, url) = file();
        let store = open(&url, options.clone()).await;
        let mut people = people(&store, 3, "client").await;
        // The fourth has an address on no channel.
        people.push(person(&store, "nowhere", "client").await);
        Self { url, directory, options, store, people }
    }

    async fn walk(&mut self, step: &Step, nth: usize) {
        let ids = |some: &[usize]| some.iter().map(|n| self.people[*n].id).collect::<Vec<_>>();
        let (store, text) = (&self.store, format!("word{nth}"));
        match step {
            Step::Say(to) => drop(say(store, &self.people[0], &ids(to), &text).await),
            Step::Tell(to) => drop(tell(store, &text, &self.people[0], &ids(to)).await),
            Step::Mark(who, seq, mark) => {
                let selection = Selection::up_to(Seq(*seq));
                drop(store.mark(self.people[*who].id, selection, *mark, at(9)).await.unwrap());
            }
            Step::Delivered(who, seq) => {
                // Nothing is delivered that was not born.
                let user = self.people[*who].id;
                let last = entries(store, user, Seq::ZERO).await.0.last_seq;
                let seq = Seq(*seq).min(last);
                say(store, &self.people[0], &ids(&[0, 1, 2, 3]), &text).await;
                store.save_reached(&[(user, seq.into())]).await.unwrap();
            }
            Step::Look(who) => drop(entries(store, self.people[*who].id, Seq::ZERO).await),
            Step::Rename(who) => {
                let changes = bellpull_port::accounts::UserChanges {
                    full_name: Some(text),
                    ..Default::default()
                };
                store.update_user(self.people[*who].id, changes).await.unwrap();
            }
            Step::Stop => {
                self.store.close().await;
                self.store = open(&self.url, self.options.clone()).await;
                let (_, lists) = written(&self.store).await;
                assert_eq!(lists, 0, "a stop leaves nothing to be written");
            }
            Step::Crash => {
                let (directory, store) = after_a_crash(store, self.options.clone()).await;
                self.url = format!("sqlite://{}/hub.db", directory.path().display());
                (self.directory, self.store) = (directory, store);
            }
        }
    }

    /// All that can be seen of the inboxes.
    async fn inboxes(&self) -> Vec<(Head, Vec<String>)> {
        let mut all = Vec::new();
        for user in &self.people {
            let ChangedRows { head, rows: changes, .. } =
                self.store.changes(user.id, Seq::ZERO, 1_000).await.unwrap();
            assert_eq!(head, self.store.head(user.id).await.unwrap());
            let unread = self.store.unread_counts(user.id).await.unwrap().0;
            assert_eq!(unread, head.unread_count);
            let shown = changes.iter().map(|row| {
                let entry = &row.entry;
                let text = &entry.message.message.event;
                let ids = (entry.id, entry.seq, row.changed_seq);
                format!("{ids:?} {} {} {text:?}", entry.is_read, row.is_deleted)
            });
            all.push((head, shown.collect()));
        }
        all
    }
}

#[tokio::test]
async fn what_is_written_later_cannot_be_told_from_what_is_written_at_once() {
    let mut runner = TestRunner::default();
    // With room for all of it, and with room for some.
    for deferred_max in [1_000, 16].repeat(8) {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        println!("{deferred_max}: {steps:?}");
        let options = StoreOptions { defer_from: 1, deferred_max, ..deferring() };
        let mut later = Walker::begin(options).await;
        let mut at_once =
            Walker::begin(StoreOptions { defer_from: usize::MAX, ..deferring() }).await;
        for (nth, step) in steps.iter().enumerate() {
            later.walk(step, nth).await;
            at_once.walk(step, nth).await;
        }
        let (mut later, mut at_once) = (later.inboxes().await, at_once.inboxes().await);
        if steps.iter().any(|step| matches!(step, Step::Crash)) {
            // What was delivered to an inbox that is still to be written is known in memory alone.
            for ((later, _), (at_once, _)) in later.iter_mut().zip(&mut at_once) {
                assert!(later.delivered_seq <= at_once.delivered_seq);
                later.delivered_seq = at_once.delivered_seq;
            }
        }
        assert_eq!(later, at_once);
    }
}

#[tokio::test]
async fn a_broadcast_is_one_row_until_its_inboxes_are_listed_or_changed() {
    let House { store, people, ids, .. } = &house(7, deferring()).await;
    say(store, &people[0], &ids[..2], "to two").await;
    assert_eq!(written(store).await, (2, 0), "two are too few");
    let announced = say(store, &people[0], ids, "to all").await;
    assert_eq!(written(store).await, (2, 1));
    assert_eq!(
        announced.entries.iter().map(|one| one.seq.0).collect::<Vec<_>>(),
        [2, 2, 1, 1, 1, 1, 1]
    );

    assert_eq!(store.head(ids[0]).await.unwrap(), head(2, 2, 0));
    assert_eq!(store.unread_counts(ids[0]).await.unwrap().0, 2);
    for limit in [0, 1, 2, 9] {
        let kept = i64::from(limit).min(2);
        let newest = store.newest_entries(ids[0], Seq::ZERO, limit).await.unwrap();
        assert_eq!((newest.head, newest.skipped), (head(2, 2, 0), 2 - kept));
        let seqs: Vec<i64> = newest.entries.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(seqs, (3 - kept..3).collect::<Vec<_>>(), "the newest {limit}");
        let newest = store.newest_changes(ids[0], Seq::ZERO, limit).await.unwrap();
        assert_eq!((newest.head, newest.skipped), (head(2, 2, 0), 2 - kept));
        let ChangedRows { head, rows: oldest, .. } =
            store.changes(ids[0], Seq::ZERO, limit).await.unwrap();
        let seqs: Vec<i64> = oldest.iter().map(|row| row.changed_seq.0).collect();
        assert_eq!((head.last_seq, seqs), (Seq(2), (1..=kept).collect()), "the oldest {limit}");
    }
    assert!(store.newest_entries(ids[0], Seq(2), 9).await.unwrap().entries.is_empty());
    assert_eq!(written(store).await, (2, 1), "who looks writes nothing");

    let id = announced.entries[1].id;
    assert_eq!(store.notification(ids[1], id).await.unwrap().unwrap().seq, Seq(2));
    assert_eq!(written(store).await, (3, 1), "who lists has his own written");
    let page = store.notifications(ids[2], &NotificationFilter::default(), first(9).into()).await;
    assert_eq!(page.unwrap().count, 1);
    let marked = store.mark(ids[4], Selection::up_to(Seq(1)), Mark::Read, at(20)).await.unwrap();
    assert_eq!(*marked.unwrap().ids, [announced.entries[4].id]);
    let explained = store.announcement(announced.entries[5].id).await.unwrap().unwrap();
    assert_eq!(explained.row.unwrap().recipient, ids[5]);
    assert_eq!(written(store).await, (6, 1));
    let announced = tell(store, "by e-mail", &people[0], &ids[6..]).await;
    assert_eq!(
        announced.entries[0].seq,
        Seq(2),
        "what goes out is written at once, and what was before"
    );
    assert_eq!(written(store).await, (8, 1));
    for user in [ids[0], ids[3]] {
        store.mark(user, Selection::up_to(Seq(9)), Mark::Delete, at(30)).await.unwrap();
    }
    assert_eq!(written(store).await, (10, 0), "nothing is left of the list");
}

#[tokio::test]
async fn a_report_counts_what_is_still_to_be_written() {
    let House { store, people, ids, .. } = &house(5, deferring()).await;
    let mut news = word(&people[0], ids, "news");
    news.message.created_at = jiff::Timestamp::now();
    store.begin_send(news, 1_000, jiff::Timestamp::now()).await.unwrap();
    let filter = ReportFilter {
        from: jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1),
        to: jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1),
        event: None,
        channel: None,
    };
    let rows = store.report(filter).await.unwrap().unwrap();
    let sent: i64 = rows.iter().map(|row| row.sent).sum();
    assert_eq!(sent, 5, "{rows:?}");
}

#[tokio::test]
async fn deferred_entries_are_written_while_the_store_is_idle() {
    let House { store, people, ids, .. } = &house(5, deferring()).await;
    for _ in 0..3 {
        say(store, &people[0], ids, "news").await;
    }
    assert_eq!(written(store).await, (0, 3));
    let begun = Instant::now();
    while written(store).await != (15, 0) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", written(store).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn no_more_wait_than_there_is_room_for() {
    let options = StoreOptions { deferred_max: 64, ..deferring() };
    let House { store, people, ids, .. } = &house(5, options).await;
    for nth in 1..=40 {
        say(store, &people[0], ids, "news").await;
        let (rows, _) = written(store).await;
        assert!(5 * nth - rows <= 64, "{rows} rows of {}", 5 * nth);
    }
    for user in ids {
        let (head, entries) = entries(store, *user, Seq::ZERO).await;
        assert_eq!((head.last_seq, entries.len()), (Seq(40), 40));
    }
}

#[tokio::test]
async fn another_process_writes_what_waits_before_its_own() {
    let House { store, people, ids, url, .. } = &house(5, deferring()).await;
    say(store, &people[0], ids, "one").await;
    store.save_reached(&[(ids[0], Seq(1).into()), (ids[1], Seq(1).into())]).await.unwrap();
    let command = open(url, StoreOptions { exclusive: false, ..deferring() }).await;
    assert_eq!(say(&command, &people[0], &ids[..1], "two").await.entries[0].seq, Seq(2));
    assert_eq!(written(store).await, (2, 1), "a command lets nothing wait");
    assert_eq!(say(store, &people[0], ids, "three").await.entries[0].seq, Seq(3));
    assert_eq!(store.head(ids[0]).await.unwrap(), head(3, 3, 1));
    assert_eq!(store.head(ids[1]).await.unwrap(), head(2, 2, 1));
    assert_eq!(say(&command, &people[0], ids, "four").await.entries[4].seq, Seq(3));
    for (user, last) in ids.iter().zip([4, 3, 3, 3, 3]) {
        assert_eq!(store.head(*user).await.unwrap().last_seq, Seq(last));
    }
    command.close().await;
}

#[tokio::test]
async fn a_full_disk_does_not_prevent_reading_the_backlog() {
    let House { store, people, ids, .. } = &house(5, deferring()).await;
    let other = &mut beside(store).await;
    let pages: u32 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *other).await.unwrap();
    store.limit_pages(pages + 40).await.unwrap();
    let mut said = 0;
    while store.begin_send(word(&people[0], ids, "news"), 1_000, at(10)).await.is_ok() {
        said += 1;
        assert!(said < 5_000, "the disk is never full");
    }
    assert!(said > 50, "{said}");
    let (mut refused, all) = (0, NotificationFilter::default());
    for user in ids {
        let backlog = store.newest_entries(*user, Seq::ZERO, 1_000_000).await.unwrap();
        // Of a long backlog only the first rows have their texts.
        let rows = backlog.entries.len() + backlog.rest.len();
        assert_eq!((backlog.head.last_seq, rows), (Seq(said), usize::try_from(said).unwrap()));
        assert_eq!(store.unread_counts(*user).await.unwrap().0, said);
        refused += usize::from(store.notifications(*user, &all, first(9).into()).await.is_err());
    }
    assert!(refused > 0, "there was room for all rows");
    store.limit_pages(10_000).await.unwrap();
    for user in ids {
        let page = store.notifications(*user, &all, first(9).into()).await.unwrap();
        assert_eq!(page.count, said);
    }
}
