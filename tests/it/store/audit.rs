//! The audit log: newest first, by its filters, until it is old.

use bellpull_domain::ids::UserId;
use bellpull_port::audit::{AuditEntry, AuditFilter};
use bellpull_port::retention::{Old, Position};
use bellpull_port::{AuditStore, PageRequest, RetentionStore};

use super::people::{at, first};
use super::{Fixture, Store};

pub(super) fn entry(ms: i64, user: i64, action: &str) -> AuditEntry {
    AuditEntry {
        at: at(ms),
        user: UserId(user),
        username: format!("user{user}"),
        role: "admin".to_owned(),
        action: action.to_owned(),
        path: "/api/users/5/".to_owned(),
        address: "203.0.113.9".to_owned(),
        status: (ms != 40).then_some(200),
        node: "a".to_owned(),
    }
}

async fn times(store: &impl Store, filter: AuditFilter, page: PageRequest) -> (i64, Vec<i64>) {
    let found = store.audit(filter, page).await.unwrap();
    let times = found.rows.iter().map(|row| row.entry.at.as_millisecond());
    (found.count, times.map(|time| time - at(0).as_millisecond()).collect())
}

pub(crate) async fn entries_are_listed_newest_first_and_by_filters<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (edit, retry) = ("PATCH /api/users/{id}/", "POST /api/deliveries/{id}/retry/");
    for (ms, user, action) in [(10, 1, edit), (30, 2, edit), (20, 1, retry), (40, 0, retry)] {
        store.add_audit(entry(ms, user, action)).await.unwrap();
    }
    let all = AuditFilter::default();
    assert_eq!(times(store, all.clone(), first(50)).await, (4, vec![40, 30, 20, 10]));
    let second = PageRequest { page: 2, page_size: 3 };
    assert_eq!(times(store, all.clone(), second).await, (4, vec![10]));
    let newest = store.audit(all.clone(), first(1)).await.unwrap().rows.remove(0);
    assert_eq!(newest.entry, entry(40, 0, retry), "the client left: no status");

    let of = |user| AuditFilter { user: Some(UserId(user)), ..AuditFilter::default() };
    assert_eq!(times(store, of(1), first(50)).await, (2, vec![20, 10]));
    assert_eq!(times(store, of(0), first(50)).await, (1, vec![40]), "a service token");
    let action = Some(edit.to_owned());
    let edits = AuditFilter { action, since: Some(at(20)), ..AuditFilter::default() };
    assert_eq!(times(store, edits, first(50)).await, (1, vec![30]));
}

pub(crate) async fn old_entries_are_removed<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    for ms in 0..10 {
        store.add_audit(entry(ms, 1, "DELETE /api/tickets/{id}/")).await.unwrap();
    }
    let forget = |limit| store.forget(Old::Audit, at(7), Position::START, limit);
    let step = forget(4).await.unwrap();
    assert_eq!((step.removed, step.next), (4, Some(Position::START)));
    let step = forget(4).await.unwrap();
    assert_eq!((step.removed, step.next), (3, None));
    let left = times(store, AuditFilter::default(), first(50)).await;
    assert_eq!(left, (3, vec![9, 8, 7]));
}
