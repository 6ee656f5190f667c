//! The order of a group on SQLite, where one writer applies it kind by kind.

use bellpull_actors::domain::ids::Seq;
use bellpull_actors::domain::inbox::Mark;
use bellpull_actors::port::inbox::Selection;
use bellpull_actors::port::{InboxStore, TicketStore};

use super::people::{at, fill, head, news, person};
use super::sqlite::{file, hub, open};

#[tokio::test]
async fn marks_come_before_new_entries() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let client = person(&store, "client", "client").await;
    let ids = fill(&store, &client, 3).await;
    let decision = news(&store, "more", &client, &[client.id]).await;
    let (committed, marked) = tokio::join!(
        store.commit(decision),
        store.mark(client.id, Selection::Ids(ids), Mark::Read, at(9)),
    );
    assert_eq!(committed.unwrap().told.unwrap().entries[0].seq, Seq(7));
    assert_eq!(marked.unwrap().unwrap().last, Seq(6));
    assert_eq!(store.head(client.id).await.unwrap(), head(7, 1, 0));
    store.close().await;
}
