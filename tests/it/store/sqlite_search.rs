//! The index of words on SQLite: what is there already is found after the migration, a ticket whose
//! transaction is taken back is not, and steps of the workflow leave the index alone.

use bellpull_domain::ids::TicketId;
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{Command, Edit};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{CommentStore, RetentionStore, TicketStore};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::people::{first, people, person, raise, step};
use super::sqlite::{beside, file, hub, open};

async fn found(store: &bellpull::storage::sqlite::SqliteStore, text: &str) -> Vec<TicketId> {
    let search = Some(Search::of(text).unwrap());
    let filter = TicketFilter { search, ..TicketFilter::default() };
    let page = store.tickets(&filter, first(100)).await.unwrap();
    page.rows.into_iter().map(|ticket| ticket.id).collect()
}

/// A database as it was before tickets had words.
async fn old(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let mut before = Migrator::new(std::path::Path::new("migrations/sqlite")).await.unwrap();
    before.migrations.to_mut().retain(|migration| migration.version < 19);
    before.run_direct(None, &mut connection, false).await.unwrap();
    connection
}

#[tokio::test]
async fn tickets_of_an_older_version_are_kept_and_found() {
    let (directory, url) = file();
    let mut connection = old(&directory.path().join("hub.db")).await;
    for sql in [
        "INSERT INTO users (id, username, email, full_name, role, whatsapp_number, phone, \
         created_at) VALUES (1, 'carl', '', '', 'client', '', '', 0)",
        "INSERT INTO tickets (id, project_id, number, title, description, priority, category, \
         status, created_by, version, created_at, updated_at, deleted_at) VALUES \
         (2, 1, 3, 'ドアの障害', 'in der Straße', 'LOW', 'OTHER', 'OPENED', 1, 2, 5, 6, NULL), \
         (3, 1, 1, 'Stuck door', 'since Monday', 'LOW', 'OTHER', 'OPENED', 1, 2, 5, 6, NULL), \
         (4, 1, 2, 'Gone door', '', 'LOW', 'OTHER', 'NEW', 1, 2, 5, 6, 7)",
        "INSERT INTO ticket_history VALUES (3, 1, 'create', NULL, 'NEW', 1, 'carl', '', 5)",
        "INSERT INTO comments VALUES (1, 3, 1, 'carl', 'hello', 6)",
        "INSERT INTO counters VALUES ('tickets', 4)",
        "UPDATE projects SET last_number = 3",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = open(&url, hub()).await;
    for text in ["door", "TKT-1", "monday stuck"] {
        assert_eq!(found(&store, text).await, [TicketId(3)], "{text}");
    }
    assert_eq!(found(&store, "障害").await, [], "words of the version before");
    assert_eq!(store.renew_words(1).await.unwrap(), 1);
    assert_eq!(found(&store, "障害").await, [], "the newest is first");
    assert_eq!(store.renew_words(9).await.unwrap(), 1);
    assert_eq!(store.renew_words(9).await.unwrap(), 0);
    for text in ["障害", "strasse"] {
        assert_eq!(found(&store, text).await, [TicketId(2)], "{text}");
    }
    assert_eq!(found(&store, "door").await, [TicketId(3)]);
    let ticket = store.ticket(TicketId(3)).await.unwrap().unwrap();
    assert_eq!((ticket.key.as_str(), ticket.title.as_str()), ("TKT-1", "Stuck door"));
    assert_eq!((ticket.description.as_str(), ticket.version), ("since Monday", 2));
    assert_eq!(store.ticket(TicketId(4)).await.unwrap(), None);
    assert_eq!(store.comments(TicketId(3), first(9)).await.unwrap().count, 1);
    assert_eq!(store.history(TicketId(3), first(9)).await.unwrap().rows.len(), 1);
    let mut other = beside(&store).await;
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut other).await.unwrap();
    assert!(broken.is_empty());
    let checked = "INSERT INTO ticket_words (ticket_words) VALUES ('integrity-check')";
    sqlx::query(checked).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let carl = person(&store, "dora", "client").await;
    assert_eq!(raise(&store, "New door", &carl).await.ticket.key, "TKT-4");
    assert_eq!(found(&store, "door").await, [TicketId(5), TicketId(3)]);
    store.close().await;
}

#[tokio::test]
async fn a_step_leaves_the_words_alone_and_a_refused_edit_too() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let client = person(&store, "client", "client").await;
    let admins = people(&store, 1, "admin").await;
    let ticket = raise(&store, "Stuck door", &client).await.ticket;
    let segments = "SELECT count(*) || ':' || ifnull(sum(length(block)), 0) FROM ticket_words_data";
    let size = async || {
        let mut other = beside(&store).await;
        let size: String = sqlx::query_scalar(segments).fetch_one(&mut other).await.unwrap();
        other.close().await.unwrap();
        size
    };
    let before = size().await;
    let opened = store.commit(step(&ticket, Command::Open, &admins[0])).await.unwrap().ticket;
    assert_eq!(size().await, before);
    let edit = |title: &str| Edit { title: Some(title.to_owned()), ..Edit::default() };
    let rival = step(&opened, Command::Edit(edit("Closed window")), &client);
    store.commit(step(&opened, Command::Edit(edit("Open gate")), &client)).await.unwrap();
    store.commit(rival).await.unwrap_err();
    assert_eq!(found(&store, "door").await, []);
    assert_eq!(found(&store, "window").await, []);
    assert_eq!(found(&store, "gate").await, [ticket.id]);
    store.close().await;
}
