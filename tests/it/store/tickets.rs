//! Tickets, their versions, and who is told of them.

use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::ticket::{Command, Edit, Status};
use bellpull_domain::user::User;
use bellpull_port::accounts::UserChanges;
use bellpull_port::{AccountStore, InboxStore, PageRequest, ProjectStore, StoreError, TicketStore};
use futures_util::future::join_all;

use super::Fixture;
use super::people::{creation, default_project, first, people, person, raise, step};

pub(crate) async fn a_new_ticket_takes_its_projects_next_number<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    person(store, "admin", "admin").await;
    let first = raise(store, "One", &client).await;
    assert_eq!(first.ticket.key, "TKT-1");
    let shown = first.announced.unwrap().content.message.ticket.clone().unwrap();
    assert_eq!(shown.key, "TKT-1", "what people are shown has the key too");

    let sql = "INSERT INTO projects (id, key, name, is_open, created_at) \
               VALUES (7, 'WEB', 'Main Website', FALSE, 0)";
    fixture.execute(sql).await;
    let web = store.project(ProjectId(7)).await.unwrap().unwrap();
    let ids = [store.reserve_ticket_id().await.unwrap(), store.reserve_ticket_id().await.unwrap()];
    assert!(first.ticket.id < ids[0] && ids[0] < ids[1]);
    let both = ids.map(|id| store.commit(creation(id, &web, "Web", &client)));
    let keys: Vec<String> =
        join_all(both).await.into_iter().map(|c| c.unwrap().ticket.key).collect();
    assert_eq!(keys, ["WEB-1", "WEB-2"], "in the order of their requests");
    assert_eq!(raise(store, "Two", &client).await.ticket.key, "TKT-2");
}

pub(crate) async fn a_ticket_of_an_unknown_project_is_refused<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let mut nowhere = default_project();
    nowhere.id = ProjectId(99);
    let refused = store.commit(creation(TicketId(5), &nowhere, "Lost", &client)).await;
    assert_eq!(refused.unwrap_err(), StoreError::NotFound);
    assert_eq!(store.ticket(TicketId(5)).await.unwrap(), None);
}

pub(crate) async fn a_ticket_is_read_as_it_was_written<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let devs = people(store, 3, "developer").await;
    let mut ticket = raise(store, "It's \"slow\" — 100%", &client).await.ticket;
    assert_eq!(store.ticket(ticket.id).await.unwrap().as_ref(), Some(&ticket));

    let assign = |who: &[usize]| Command::Assign {
        developers: who.iter().map(|n| devs[*n].clone()).collect(),
    };
    for who in [&[2, 0][..], &[1, 2], &[1]] {
        ticket = store.commit(step(&ticket, assign(who), &admin)).await.unwrap().ticket;
        let wanted: Vec<UserId> = who.iter().map(|n| devs[*n].id).collect();
        assert_eq!(ticket.assigned_to, wanted, "in the order in which they were named");
        assert_eq!(store.ticket(ticket.id).await.unwrap().as_ref(), Some(&ticket));
    }
    let edit = Edit { title: Some("Fast".to_owned()), ..Edit::default() };
    ticket = store.commit(step(&ticket, Command::Edit(edit), &client)).await.unwrap().ticket;
    assert_eq!(store.ticket(ticket.id).await.unwrap().as_ref(), Some(&ticket));
    assert_eq!(store.ticket(TicketId(999)).await.unwrap(), None);
}

pub(crate) async fn rivals_in_one_group_conflict<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admins = people(store, 2, "admin").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let rivals = admins.iter().map(|admin| store.commit(step(&ticket, Command::Open, admin)));
    let outcomes = join_all(rivals).await;
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1].as_ref().unwrap_err(), &StoreError::Conflict);
    let history = store.history(ticket.id, first(10)).await.unwrap();
    assert_eq!(history.count, 2);
    // No entry was written for a failed request.
    assert_eq!(store.head(client.id).await.unwrap().unread_count, 1);

    let again = creation(ticket.id, &default_project(), "Thief", &client);
    assert_eq!(store.commit(again).await.unwrap_err(), StoreError::Conflict);
}

pub(crate) async fn rivals_in_two_groups_conflict<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let opened = store.commit(step(&ticket, Command::Open, &admin)).await.unwrap();
    let late = store.commit(step(&ticket, Command::Open, &admin)).await;
    assert_eq!(late.unwrap_err(), StoreError::Conflict);
    let mut ahead = step(&opened.ticket, Command::Edit(Edit::default()), &client);
    ahead.ticket.version += 1;
    assert_eq!(store.commit(ahead).await.unwrap_err(), StoreError::Conflict);
    assert_eq!(store.ticket(ticket.id).await.unwrap(), Some(opened.ticket));
}

pub(crate) async fn two_versions_in_one_group_follow_each_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let dev = person(store, "dev", "developer").await;
    let id = store.reserve_ticket_id().await.unwrap();
    let created = creation(id, &default_project(), "One", &client);
    let opened = step(&created.ticket, Command::Open, &admin);
    let assign = Command::Assign { developers: vec![dev.clone()] };
    let assigned = step(&opened.ticket, assign, &admin);
    let outcomes = join_all([created, opened, assigned].map(|one| store.commit(one))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let ticket = store.ticket(id).await.unwrap().unwrap();
    assert_eq!((ticket.version, ticket.status), (3, Status::Assigned));
    assert_eq!(ticket.assigned_to, [dev.id]);
    assert_eq!(store.history(id, first(10)).await.unwrap().count, 3);
}

pub(crate) async fn a_deleted_ticket_is_gone_and_nothing_of_it_is_used_again<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let deleted = store.commit(step(&ticket, Command::Delete, &client)).await.unwrap();
    assert_eq!(store.ticket(ticket.id).await.unwrap(), None);
    let after = step(&deleted.ticket, Command::Edit(Edit::default()), &client);
    assert_eq!(store.commit(after).await.unwrap_err(), StoreError::Conflict);
    let again = creation(ticket.id, &default_project(), "Again", &client);
    assert_eq!(store.commit(again).await.unwrap_err(), StoreError::Conflict);
    let next = raise(store, "Two", &client).await.ticket;
    assert!(next.id > ticket.id);
    assert_eq!(next.key, "TKT-2");
}

pub(crate) async fn a_history_is_paged_and_outlives_its_ticket<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let opened = store.commit(step(&ticket, Command::Open, &admin)).await.unwrap().ticket;
    store.commit(step(&opened, Command::Delete, &admin)).await.unwrap();
    let page = store.history(ticket.id, first(2)).await.unwrap();
    assert_eq!(page.count, 3);
    let actions: Vec<&str> = page.rows.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["create", "open"]);
    let open = &page.rows[1];
    assert_eq!((open.version, open.from, open.to), (2, Some(Status::New), Status::Opened));
    assert_eq!((open.by, open.by_name.as_str()), (admin.id, "admin"));
    let rest = store.history(ticket.id, PageRequest { page: 2, page_size: 2 }).await.unwrap();
    assert_eq!(rest.rows[0].action, "delete");
    let none = store.history(TicketId(99), first(2)).await.unwrap();
    assert_eq!((none.count, none.rows.len()), (0, 0));
}

pub(crate) async fn each_recipient_is_told_once_and_the_actor_never<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admins = people(store, 3, "admin").await;
    let chief = person(store, "chief", "super_admin").await;
    person(store, "dev", "developer").await;
    // An admin raises it: one of the admins, and not told.
    let announced = raise(store, "One", &admins[1]).await.announced.unwrap();
    let recipients: Vec<UserId> = announced.entries.iter().map(|placed| placed.recipient).collect();
    assert_eq!(recipients, [admins[0].id, admins[2].id, chief.id]);
    for placed in &announced.entries {
        assert_eq!((placed.seq.0, placed.unread_count), (1, 1));
    }
}

pub(crate) async fn inactive_admins_are_not_told<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admins = people(store, 2, "admin").await;
    let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
    store.update_user(admins[0].id, off).await.unwrap();
    let announced = raise(store, "One", &client).await.announced.unwrap();
    assert_eq!(announced.entries.len(), 1);
    assert_eq!(announced.entries[0].recipient, admins[1].id);
}

pub(crate) async fn a_decision_without_an_announcement_has_no_entries<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let raised = raise(store, "There is no admin", &client).await;
    assert!(raised.announced.is_none(), "there is no recipient");
    let edit = Command::Edit(Edit { title: Some("Two".to_owned()), ..Edit::default() });
    assert!(store.commit(step(&raised.ticket, edit, &client)).await.unwrap().announced.is_none());
}

pub(crate) async fn projects_and_members_are_found<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let dev = person(store, "dev", "developer").await;
    let sql = "INSERT INTO projects (id, key, name, is_open, created_at) \
               VALUES (7, 'WEB', 'Main Website', FALSE, 0)";
    fixture.execute(sql).await;
    let sql = format!("INSERT INTO project_members (project_id, user_id) VALUES (7, {})", dev.id);
    fixture.execute(&sql).await;
    assert_eq!(store.project(ProjectId::DEFAULT).await.unwrap(), Some(default_project()));
    let web = store.project(ProjectId(7)).await.unwrap().unwrap();
    assert_eq!((web.key.as_str(), web.is_open), ("WEB", false));
    assert_eq!(store.project(ProjectId(8)).await.unwrap(), None);
    assert!(store.is_member(ProjectId(7), dev.id).await.unwrap());
    assert!(!store.is_member(ProjectId::DEFAULT, dev.id).await.unwrap());
    assert!(!store.is_member(ProjectId(7), UserId(99)).await.unwrap());
}

pub(crate) async fn accounts_are_found_by_their_ids<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let devs = people(store, 3, "developer").await;
    let wanted = [devs[2].id, UserId(99), devs[0].id, devs[2].id];
    let mut found: Vec<User> = store.users(&wanted).await.unwrap();
    found.sort_by_key(|user| user.id);
    assert_eq!(found, [devs[0].clone(), devs[2].clone()]);
    assert!(store.users(&[]).await.unwrap().is_empty());
}
