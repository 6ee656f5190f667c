//! Values that the database refuses: the request's own error, not an outage.

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_port::{Store, StoreError, TicketStore};
use futures_util::future::join_all;

use super::people::{creation, default_project, person, raise};
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

/// An administrator's rules stand for all that the database may refuse in a value.
const RULES: &str = "
    ALTER TABLE tickets ADD CONSTRAINT theirs CHECK (title <> 'check');
    CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.title = 'characters' THEN RAISE EXCEPTION USING ERRCODE = '22P05'; END IF;
        IF NEW.title = 'number' THEN RAISE EXCEPTION USING ERRCODE = '22003'; END IF;
        IF NEW.title = 'size' THEN RAISE EXCEPTION USING ERRCODE = '54000'; END IF;
        IF NEW.title = 'raised' THEN RAISE EXCEPTION 'no'; END IF;
        RETURN NEW; END $$;
    CREATE TRIGGER theirs BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION theirs();";

#[tokio::test]
async fn a_value_that_is_refused_is_no_outage_and_spoils_no_group() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::create().await;
    let store = PostgresStore::open(&database.url(), StoreOptions::default()).await.unwrap();
    let ada = person(&store, "ada", "client").await;
    database.execute(RULES).await;
    for bad in ["check", "characters", "number", "size", "raised"] {
        // At once, so that they come into one group.
        let all = (0..12).map(async |nth| {
            let title = if nth == 5 { bad } else { "good" };
            let id = store.reserve_ticket_id().await.unwrap();
            store.commit(creation(id, &default_project(), title, &ada)).await.map(drop)
        });
        for (nth, done) in join_all(all).await.into_iter().enumerate() {
            let wanted = if nth == 5 { Err(StoreError::Unstorable) } else { Ok(()) };
            assert_eq!(done, wanted, "{bad}, {nth}");
        }
        assert_eq!(store.answers().await, Ok(()), "{bad}");
        let id = store.reserve_ticket_id().await.unwrap();
        let alone = store.commit(creation(id, &default_project(), bad, &ada)).await.map(drop);
        assert_eq!(alone, Err(StoreError::Unstorable), "{bad}");
        assert_eq!(store.answers().await, Ok(()), "the store is ready after {bad}");
    }
    raise(&store, "after all", &ada).await;
    store.close().await;
}
