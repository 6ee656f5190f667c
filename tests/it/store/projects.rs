//! Projects and who belongs to them.

use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_port::{PageRequest, ProjectStore, StoreError, TicketStore};
use futures_util::future::join_all;

use super::people::{at, creation, default_project, first, people, person};
use super::{Fixture, Store};

async fn make(store: &impl Store, key: &str, creator: UserId) -> ProjectId {
    let name = format!("Project {key}");
    store.create_project(key.to_owned(), name, creator, at(1)).await.unwrap().id
}

pub(crate) async fn a_project_has_a_key_of_its_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let id = make(store, "WEB", admin.id).await;
    let web = store.project(id).await.unwrap().unwrap();
    assert_eq!((web.key.as_str(), web.name.as_str(), web.is_open), ("WEB", "Project WEB", false));
    assert!(store.is_member(id, admin.id).await.unwrap(), "who made it belongs to it");
    for taken in ["WEB", "TKT"] {
        let again = store.create_project(taken.to_owned(), "Other".to_owned(), admin.id, at(2));
        assert_eq!(again.await.unwrap_err(), StoreError::Taken("key"));
    }
    let rivals =
        (0..3).map(|_| store.create_project("APP".to_owned(), "App".to_owned(), admin.id, at(2)));
    let made = join_all(rivals).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(made, 1, "one of a group too");
    let dummy_hash = store.create_project("NEW".to_owned(), "New".to_owned(), UserId(99), at(2));
    assert_eq!(dummy_hash.await.unwrap_err(), StoreError::NotFound);
    assert_eq!(store.projects(None, first(10)).await.unwrap().count, 3, "and left nothing behind");
    let ticket = store.reserve_ticket_id().await.unwrap();
    let committed = store.commit(creation(ticket, &web, "First", &admin)).await.unwrap();
    assert_eq!(committed.ticket.key, "WEB-1");
}

pub(crate) async fn members_come_and_go<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let devs = people(store, 3, "developer").await;
    let id = make(store, "WEB", admin.id).await;
    for dev in devs.iter().rev() {
        assert!(store.add_member(id, dev.id).await.unwrap());
    }
    assert!(!store.add_member(id, devs[0].id).await.unwrap(), "a second time changes nothing");
    let page = store.members(id, PageRequest { page: 2, page_size: 3 }).await.unwrap();
    assert_eq!((page.count, page.rows), (4, vec![devs[2].clone()]), "by their ids");
    assert!(store.remove_member(id, devs[1].id).await.unwrap());
    assert!(!store.remove_member(id, devs[1].id).await.unwrap());
    assert!(!store.is_member(id, devs[1].id).await.unwrap());
    let left: Vec<UserId> =
        store.members(id, first(10)).await.unwrap().rows.iter().map(|user| user.id).collect();
    assert_eq!(left, [admin.id, devs[0].id, devs[2].id]);
    for (project, user) in [(id, UserId(99)), (ProjectId(99), admin.id)] {
        let refused = store.add_member(project, user).await.unwrap_err();
        assert_eq!(refused, StoreError::NotFound);
        assert!(!store.remove_member(project, user).await.unwrap());
    }
    assert_eq!(store.members(ProjectId(99), first(10)).await.unwrap().count, 0);
}

pub(crate) async fn lists_show_open_projects_and_ones_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let dev = person(store, "dev", "developer").await;
    let mut ids = Vec::new();
    for key in ["AA", "BB", "CC"] {
        ids.push(make(store, key, admin.id).await);
    }
    store.add_member(ids[2], dev.id).await.unwrap();
    let all = store.projects(None, first(10)).await.unwrap();
    let keys: Vec<&str> = all.rows.iter().map(|project| project.key.as_str()).collect();
    assert_eq!((all.count, keys), (4, vec!["TKT", "AA", "BB", "CC"]));
    assert_eq!(all.rows[0], default_project());
    let own = store.projects(Some(dev.id), first(10)).await.unwrap();
    let keys: Vec<&str> = own.rows.iter().map(|project| project.key.as_str()).collect();
    assert_eq!((own.count, keys), (2, vec!["TKT", "CC"]));
    let second = PageRequest { page: 2, page_size: 1 };
    let page = store.projects(Some(dev.id), second).await.unwrap();
    assert_eq!((page.count, page.rows[0].id), (2, ids[2]));
}

pub(crate) async fn people_share_a_project_by_its_list<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let devs = people(store, 3, "developer").await;
    let (one, other) = (make(store, "ONE", admin.id).await, make(store, "OTHER", admin.id).await);
    store.add_member(one, devs[0].id).await.unwrap();
    store.add_member(one, devs[1].id).await.unwrap();
    store.add_member(other, devs[2].id).await.unwrap();
    let share = |a: usize, b: usize| store.share_project(devs[a].id, devs[b].id);
    assert!(share(0, 1).await.unwrap());
    assert!(share(1, 0).await.unwrap());
    assert!(!share(0, 2).await.unwrap(), "the open project does not count");
    store.add_member(other, devs[0].id).await.unwrap();
    assert!(share(0, 2).await.unwrap());
    assert!(!share(1, 2).await.unwrap());
    store.remove_member(one, devs[1].id).await.unwrap();
    assert!(!share(0, 1).await.unwrap());
}
