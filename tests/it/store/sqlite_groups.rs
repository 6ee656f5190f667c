//! The order of a group on SQLite, where one writer applies it kind by kind.

use bellpull_domain::ids::Seq;
use bellpull_domain::inbox::Mark;
use bellpull_port::inbox::Selection;
use bellpull_port::{InboxStore, TicketStore};

use super::people::{Marks, at, fill, head, news, person};
use super::sqlite::{file, hub, open};

/// Two writes that are asked for together are usually one group. On a busy machine the writer may
/// take the first alone; then the order is theirs, and another pair is tried.
#[tokio::test]
async fn marks_come_before_new_entries() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    for attempt in 0..100 {
        let client = person(&store, &format!("client{attempt}"), "client").await;
        let ids = fill(&store, &client, 3).await;
        let decision = news(&store, "more", &client, &[client.id]).await;
        let (committed, marked) = tokio::join!(
            store.commit(decision),
            store.mark(client.id, Selection::ids(ids), Mark::Read, at(9)),
        );
        let new = committed.unwrap().announced.unwrap().entries[0].seq;
        let last = marked.unwrap().unwrap().last;
        assert_eq!(store.head(client.id).await.unwrap(), head(7, 1, 0));
        if (new, last) == (Seq(7), Seq(6)) {
            return store.close().await;
        }
        assert_eq!((new, last), (Seq(4), Seq(7)), "two groups, in their order");
    }
    panic!("no two writes were one group");
}
