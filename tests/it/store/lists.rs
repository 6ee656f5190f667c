//! Lists: who sees what, filters, and pages.

use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, ProjectId, Seq, TicketId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::Kind;
use bellpull_domain::routing::Channel;
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{
    Caller, Command, Edit, Membership, Priority, Status, Ticket, is_visible,
};
use bellpull_domain::user::User;
use bellpull_port::accounts::UserChanges;
use bellpull_port::inbox::{NotificationFilter, Selection};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{AccountStore, InboxStore, Page, PageRequest, ProjectStore, TicketStore};
use serde_json::json;

use super::people::{
    Marks, at, creation, default_project, fill, first, news, people, person, raise, step, tell,
};
use super::{Fixture, Store};

async fn titles(store: &impl Store, filter: &TicketFilter) -> Vec<String> {
    let page: Page<Ticket> = store.tickets(filter, first(100)).await.unwrap();
    assert_eq!(page.count, i64::try_from(page.rows.len()).unwrap());
    page.rows.into_iter().map(|ticket| ticket.title).collect()
}

/// What a search finds.
fn found_by(text: &str) -> TicketFilter {
    TicketFilter { search: Some(Search::of(text).unwrap()), ..TicketFilter::default() }
}

pub(crate) async fn tickets_are_shown_to_whom_they_concern<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let clients = people(store, 2, "client").await;
    let devs = people(store, 3, "developer").await;
    let admin = person(store, "admin", "admin").await;
    let chief = person(store, "chief", "super_admin").await;
    let sql = "INSERT INTO projects (id, key, name, is_open, created_at) \
               VALUES (7, 'WEB', 'Main Website', FALSE, 0)";
    fixture.execute(sql).await;
    let member = format!("INSERT INTO project_members VALUES (7, {})", devs[0].id);
    fixture.execute(&member).await;
    let web = store.project(ProjectId(7)).await.unwrap().unwrap();
    raise(store, "open", &clients[0]).await;
    let id = store.reserve_ticket_id().await.unwrap();
    let closed = store.commit(creation(id, &web, "closed", &clients[1])).await.unwrap().ticket;
    let assign = Command::Assign { developers: vec![devs[1].clone()] };
    store.commit(step(&closed, assign, &admin)).await.unwrap();
    let gone = raise(store, "gone", &clients[0]).await.ticket;
    store.commit(step(&gone, Command::Delete, &admin)).await.unwrap();

    let seen = |user: &User| TicketFilter {
        visible_to: Some((user.id, user.role.clone())),
        ..TicketFilter::default()
    };
    for (user, wanted) in [
        (&admin, &["closed", "open"][..]),
        (&chief, &["closed", "open"]),
        (&clients[0], &["open"]),
        (&clients[1], &["closed"]),
        (&devs[0], &["closed", "open"]),
        (&devs[1], &["closed", "open"]),
        (&devs[2], &["open"]),
    ] {
        assert_eq!(titles(store, &seen(user)).await, wanted, "{}", user.username);
    }
    assert_eq!(titles(store, &TicketFilter::default()).await, ["closed", "open"]);
}

/// Numbers that look random: the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// The query of a list is made of the rule in the domain: both must agree on every ticket.
pub(crate) async fn a_list_shows_exactly_what_the_rule_allows<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let mut users = people(store, 2, "client").await;
    let devs = people(store, 3, "developer").await;
    users.extend(devs.iter().cloned());
    for role in ["admin", "super_admin", "student"] {
        users.push(person(store, role, role).await);
    }
    let admin = users[5].clone();
    let mut projects = vec![default_project()];
    for (id, key) in [(7, "WEB"), (8, "APP")] {
        let sql = format!(
            "INSERT INTO projects (id, key, name, is_open, created_at) \
             VALUES ({id}, '{key}', '{key}', FALSE, 0)"
        );
        fixture.execute(&sql).await;
        projects.push(store.project(ProjectId(id)).await.unwrap().unwrap());
    }
    // A developer, and a client, to whom membership gives nothing.
    let members = [(7, devs[0].id), (7, users[0].id), (8, devs[0].id), (8, devs[1].id)];
    for (project, user) in members {
        fixture.execute(&format!("INSERT INTO project_members VALUES ({project}, {user})")).await;
    }
    let seed = 20_261_122;
    let mut numbers = Numbers(seed);
    let mut tickets = Vec::new();
    for n in 0..60 {
        let (project, by) = (numbers.below(3), numbers.below(users.len()));
        let id = store.reserve_ticket_id().await.unwrap();
        let decision = creation(id, &projects[project], &n.to_string(), &users[by]);
        let mut ticket = store.commit(decision).await.unwrap().ticket;
        let on_it = numbers.below(4);
        if let Some(dev) = devs.get(on_it) {
            let assign = Command::Assign { developers: vec![dev.clone()] };
            ticket = store.commit(step(&ticket, assign, &admin)).await.unwrap().ticket;
        }
        tickets.push(ticket);
    }
    // An assignee who is no developer any more.
    let role = Some("client".parse().unwrap());
    let changes = UserChanges { role, ..UserChanges::default() };
    users[4] = store.update_user(devs[2].id, changes).await.unwrap();
    for user in &users {
        let membership = |ticket: &Ticket| {
            let project = ticket.project;
            let is_member =
                project == ProjectId::DEFAULT || members.contains(&(project.0, user.id));
            if is_member { Membership::Member } else { Membership::NonMember }
        };
        let caller = Caller::from(user);
        let allowed = tickets.iter().rev();
        let allowed = allowed.filter(|one| is_visible(one, &caller, membership(one)));
        let allowed: Vec<&str> = allowed.map(|ticket| ticket.title.as_str()).collect();
        let visible_to = Some((user.id, user.role.clone()));
        let filter = TicketFilter { visible_to, ..TicketFilter::default() };
        assert_eq!(titles(store, &filter).await, allowed, "{}, seed {seed}", user.username);
        assert!(!allowed.is_empty(), "{} sees nothing, seed {seed}", user.username);
    }
}

pub(crate) async fn tickets_are_narrowed_by_each_filter<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let clients = people(store, 2, "client").await;
    let admin = person(store, "admin", "admin").await;
    let dev = person(store, "dev", "developer").await;
    raise(store, "one", &clients[0]).await;
    let two = raise(store, "two", &clients[1]).await.ticket;
    let assign = Command::Assign { developers: vec![dev.clone()] };
    let two = store.commit(step(&two, assign, &admin)).await.unwrap().ticket;
    let low = Edit {
        priority: Some(Priority::Low),
        description: Some("The door is stuck".to_owned()),
        ..Edit::default()
    };
    store.commit(step(&two, Command::Edit(low), &clients[1])).await.unwrap();
    let all = TicketFilter::default;
    for (filter, wanted) in [
        (TicketFilter { status: Some(Status::New), ..all() }, &["one"][..]),
        (TicketFilter { status: Some(Status::Approved), ..all() }, &[]),
        (TicketFilter { project: Some(ProjectId::DEFAULT), ..all() }, &["two", "one"]),
        (TicketFilter { project: Some(ProjectId(9)), ..all() }, &[]),
        (TicketFilter { priority: Some(Priority::Low), ..all() }, &["two"]),
        (TicketFilter { assigned_to: Some(dev.id), ..all() }, &["two"]),
        (TicketFilter { created_by: Some(clients[0].id), ..all() }, &["one"]),
        (found_by("ONE"), &["one"]),
        (found_by("door"), &["two"]),
        (found_by("tkt-2"), &["two"]),
        (found_by("window"), &[]),
    ] {
        assert_eq!(titles(store, &filter).await, wanted, "{filter:?}");
    }
}

pub(crate) async fn tickets_are_paged_newest_first<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    for n in 1..=5 {
        raise(store, &n.to_string(), &client).await;
    }
    for (page, wanted) in [(1, &["5", "4"][..]), (2, &["3", "2"]), (3, &["1"]), (4, &[])] {
        let request = PageRequest { page, page_size: 2 };
        let page = store.tickets(&TicketFilter::default(), request).await.unwrap();
        let titles: Vec<&str> = page.rows.iter().map(|ticket| ticket.title.as_str()).collect();
        assert_eq!((page.count, titles), (5, wanted.to_vec()));
    }
}

pub(crate) async fn notifications_are_narrowed_by_each_filter<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let mut approval = news(store, "approval", &client, &[admin.id]).await;
    let message = &mut approval.announcement.as_mut().unwrap().message;
    message.kind = Kind::Success;
    message.ticket = None;
    store.commit(approval).await.unwrap();
    // The admin's is the second: recipients are told in the order of their ids.
    let last = tell(store, "approval", &client, &[admin.id, client.id]).await.entries[1].id;
    store.mark(admin.id, Selection::ids(vec![last]), Mark::Read, at(9)).await.unwrap();

    let all = NotificationFilter::default;
    for (filter, wanted) in [
        (all(), &[3, 2, 1][..]),
        (NotificationFilter { is_read: Some(true), ..all() }, &[3]),
        (NotificationFilter { is_read: Some(false), ..all() }, &[2, 1]),
        (NotificationFilter { channel: Some(Channel::System), ..all() }, &[3, 2, 1]),
        (NotificationFilter { channel: Some(Channel::Email), ..all() }, &[3, 2, 1]),
        (NotificationFilter { channel: Some(Channel::Sms), ..all() }, &[3, 2]),
        (NotificationFilter { channel: Some(Channel::Push), ..all() }, &[]),
        (NotificationFilter { kind: Some(Kind::Success), ..all() }, &[2]),
        (NotificationFilter { event: Some(Event::TicketCreated), ..all() }, &[1]),
        (NotificationFilter { event: Some(Event::from_name("approval")), ..all() }, &[3, 2]),
        (NotificationFilter { ticket: Some(ticket.id), ..all() }, &[1]),
        (NotificationFilter { ticket: Some(TicketId(99)), ..all() }, &[]),
        (NotificationFilter { project: Some(ticket.project), ..all() }, &[3, 1]),
        (NotificationFilter { project: Some(ProjectId(99)), ..all() }, &[]),
        (NotificationFilter { project: Some(ProjectId(99)), is_read: Some(true), ..all() }, &[]),
        (NotificationFilter { since_seq: Some(Seq(1)), ..all() }, &[2, 3]),
        (NotificationFilter { since_seq: Some(Seq(1)), is_read: Some(false), ..all() }, &[2]),
    ] {
        let page = store.notifications(admin.id, &filter, first(10).into()).await.unwrap();
        let seqs: Vec<i64> = page.rows.iter().map(|row| row.seq.0).collect();
        assert_eq!(seqs, wanted, "{filter:?}");
        assert_eq!(page.count, i64::try_from(wanted.len()).unwrap(), "{filter:?}");
    }
}

pub(crate) async fn notifications_are_paged<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    fill(store, &client, 5).await;
    let newest = NotificationFilter::default();
    let oldest = NotificationFilter { since_seq: Some(Seq::ZERO), ..newest.clone() };
    for (filter, page, wanted) in [
        (&newest, 1, &[5, 4][..]),
        (&newest, 3, &[1]),
        (&newest, 4, &[]),
        (&oldest, 1, &[1, 2]),
        (&oldest, 3, &[5]),
    ] {
        let request = PageRequest { page, page_size: 2 };
        let page = store.notifications(client.id, filter, request.into()).await.unwrap();
        let seqs: Vec<i64> = page.rows.iter().map(|row| row.seq.0).collect();
        assert_eq!((page.count, seqs), (5, wanted.to_vec()));
    }
}

pub(crate) async fn a_notification_is_its_recipients_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 2, "client").await;
    let ids = fill(store, &users[0], 1).await;
    assert!(store.notification(users[0].id, ids[0]).await.unwrap().is_some());
    assert_eq!(store.notification(users[1].id, ids[0]).await.unwrap(), None);
    assert_eq!(store.notification(users[0].id, NotificationId(999)).await.unwrap(), None);
}

pub(crate) async fn a_notification_shows_all_that_was_said<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let mut decision = news(store, "approval", &client, &[client.id]).await;
    let message = &mut decision.announcement.as_mut().unwrap().message;
    message.body = "Zeile 1\nZeile 2 — „Ende“ 🔔".to_owned();
    message.action_url = "/x?y=1&z=%27".to_owned();
    message.metadata =
        json!({"n": 1.5, "deep": {"list": [null, true, "x"]}}).as_object().unwrap().clone();
    message.priority = Priority::Critical;
    let announced = store.commit(decision).await.unwrap().announced.unwrap();
    let row = store.notification(client.id, announced.entries[0].id).await.unwrap().unwrap();
    assert_eq!(row.message, announced.content.message);
    assert_eq!((row.recipient, row.recipient_name.as_str()), (client.id, "client"));
    assert_eq!((row.seq, row.read_at), (Seq(1), None));
    let channels: Vec<Channel> = row.deliveries.iter().map(|delivery| delivery.channel).collect();
    assert_eq!(channels, [Channel::Email, Channel::Sms]);
}
