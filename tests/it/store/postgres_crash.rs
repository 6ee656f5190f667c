//! A PostgreSQL that crashes while the answer to a commit is on its way: what it has lost is not
//! acknowledged.
//!
//! A transaction's id is on the disk with the first flush of the log. After a crash the server
//! gives it to another transaction, and says "committed" of both.

use std::sync::Arc;
use std::time::Duration;

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::user::User;
use bellpull_load::cluster::Services;
use bellpull_port::{ProjectStore, TicketStore};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use super::people::{at, creation, default_project, person};
use crate::support::line::Line;
use crate::support::services::services;

/// A server of its own, and a store that reaches it by a line.
struct Crashing {
    services: Services,
    line: Line,
    store: Arc<PostgresStore>,
    client: User,
}

async fn crashing() -> Option<Crashing> {
    let services = services().await?;
    let mut admin = connect(&services).await;
    // Its log goes to the disk with commits alone.
    admin.execute("ALTER SYSTEM SET wal_writer_delay = '10s'").await.unwrap();
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
    let line = Line::to(services.postgres.address()).await;
    let address: PgConnectOptions = services.postgres.url().parse().unwrap();
    let url = address.host("127.0.0.1").port(line.address().port()).to_url_lossy().to_string();
    let options = StoreOptions { exclusive: true, connections: 4, ..StoreOptions::default() };
    let store = Arc::new(PostgresStore::open(&url, options).await.unwrap());
    let client = person(&*store, "client", "client").await;
    Some(Crashing { services, line, store, client })
}

async fn connect(services: &Services) -> PgConnection {
    services.postgres.url().parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

impl Crashing {
    /// The commit that is being held is lost: the server crashes, starts again, and gives its id to
    /// another transaction, before the hub reaches it.
    async fn crash(&mut self) {
        self.line.commit_held().await;
        self.line.set_open(false);
        self.services.postgres.kill().await.unwrap();
        self.line.cut();
        self.services.postgres.resume().await.unwrap();
        let mut others = connect(&self.services).await;
        for _ in 0..64 {
            others.execute("SELECT pg_current_xact_id()").await.unwrap();
        }
        self.line.set_open(true);
    }

    async fn count(&self, of: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {of}"));
        let mut admin = connect(&self.services).await;
        sqlx::query_scalar(sql).fetch_one(&mut admin).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_a_crash_has_lost_is_written_again() {
    let Some(mut server) = crashing().await else { return };
    let id = server.store.reserve_ticket_id().await.unwrap();
    let decision = creation(id, &default_project(), "Lost?", &server.client);
    server.line.hold_commit();
    let store = Arc::clone(&server.store);
    let raised = tokio::spawn(async move { store.commit(decision).await });
    server.crash().await;
    let raised = raised.await.unwrap();
    let count = server.count("tickets").await;
    assert!(raised.is_ok(), "the server was away for less than callers wait: {raised:?}");
    assert_eq!(count, 1, "what was acknowledged is there, once");
}

/// What is not written in groups is not written again, but is not acknowledged either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_that_a_crash_has_lost_is_not_acknowledged() {
    let Some(mut server) = crashing().await else { return };
    server.line.hold_commit();
    let (store, creator) = (Arc::clone(&server.store), server.client.id);
    let created = tokio::spawn(async move {
        store.create_project("LOST".into(), "Lost?".into(), creator, at(0)).await
    });
    server.crash().await;
    let created = created.await.unwrap();
    let count = server.count("projects WHERE key = 'LOST'").await;
    assert_eq!(count, i64::from(created.is_ok()), "{created:?}");
    assert_eq!(count, 0);
    // The name is free, and the store goes on.
    let (store, creator) = (Arc::clone(&server.store), server.client.id);
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.create_project("LOST".into(), "Lost?".into(), creator, at(0)).await.unwrap();
}
