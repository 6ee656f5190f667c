//! Which accounts lost rights, as other processes read it.

use bellpull_domain::ids::UserId;
use bellpull_domain::user::Role;
use bellpull_port::accounts::UserChanges;
use bellpull_port::{AccountStore, ProjectStore};
use jiff::{SignedDuration, Timestamp};

use super::Fixture;
use super::people::person;

async fn since(store: &impl AccountStore, time: Timestamp) -> Vec<UserId> {
    let read = store.rights_withdrawn(Some(time), 10).await.unwrap();
    assert!(read.accounts.iter().all(|(_, at)| *at <= read.read_at + SignedDuration::from_secs(1)));
    assert!(read.accounts.is_sorted_by(|(_, a), (_, b)| a >= b), "newest first");
    read.accounts.into_iter().map(|(user, _)| user).collect()
}

pub(crate) async fn withdrawn_rights_are_read_by_time<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "developer").await;
    let start = store.rights_withdrawn(None, 10).await.unwrap();
    assert_eq!(start.accounts, []);
    let back = start.read_at - SignedDuration::from_secs(60);

    // None of these takes a right away.
    let changes = [
        UserChanges { full_name: Some("Ann".to_owned()), ..UserChanges::default() },
        UserChanges { role: Some(Role::Client), is_active: Some(true), ..UserChanges::default() },
    ];
    for change in changes {
        store.update_user(ann.id, change).await.unwrap();
    }
    assert_eq!(since(store, back).await, []);

    let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
    store.update_user(ann.id, off).await.unwrap();
    let first = store.rights_withdrawn(Some(back), 10).await.unwrap();
    assert_eq!(first.accounts.len(), 1);
    let on = UserChanges { is_active: Some(true), ..UserChanges::default() };
    store.update_user(ann.id, on).await.unwrap();
    assert_eq!(store.rights_withdrawn(Some(back), 10).await.unwrap().accounts, first.accounts);

    // A second change has a time of its own, however soon it comes.
    let role = UserChanges { role: Some(Role::Developer), ..UserChanges::default() };
    store.update_user(ann.id, role).await.unwrap();
    let second = store.rights_withdrawn(Some(back), 10).await.unwrap();
    assert!(second.accounts[0].1 > first.accounts[0].1, "{second:?}");

    // A statement of another process counts as well.
    fixture.execute("UPDATE users SET role = 'client' WHERE username = 'bob'").await;
    let mut both = since(store, back).await;
    both.sort();
    assert_eq!(both, [ann.id, bob.id]);
    assert_eq!(store.rights_withdrawn(Some(back), 1).await.unwrap().accounts.len(), 1);
    let later = second.read_at + SignedDuration::from_secs(3_600);
    assert_eq!(since(store, later).await, []);
    assert_eq!(store.rights_withdrawn(None, 10).await.unwrap().accounts, []);
}

pub(crate) async fn removed_members_are_read_until_they_are_members_again<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    let root = person(store, "root", "admin").await;
    let (key, name) = ("WEB".to_owned(), "Main Website".to_owned());
    let project = store.create_project(key, name, root.id, Timestamp::UNIX_EPOCH).await.unwrap();
    for user in [ann.id, bob.id] {
        store.add_member(project.id, user).await.unwrap();
    }
    let start = store.rights_withdrawn(None, 10).await.unwrap();
    let back = start.read_at - SignedDuration::from_secs(60);
    let members = async |since, limit| {
        let read = store.rights_withdrawn(since, limit).await.unwrap();
        assert_eq!(read.accounts, [], "the accounts keep their rights");
        let mut members = read.members;
        members.sort();
        members
    };
    assert_eq!(members(Some(back), 10).await, []);
    store.remove_member(project.id, ann.id).await.unwrap();
    assert_eq!(members(Some(back), 10).await, [(project.id, ann.id)]);
    // A statement of another process counts as well.
    let bobs = "DELETE FROM project_members WHERE user_id IN \
                (SELECT id FROM users WHERE username = 'bob')";
    fixture.execute(bobs).await;
    assert_eq!(members(Some(back), 10).await, [(project.id, ann.id), (project.id, bob.id)]);
    assert_eq!(members(Some(back), 1).await.len(), 1);
    assert_eq!(members(None, 10).await, []);
    let later = start.read_at + SignedDuration::from_secs(3_600);
    assert_eq!(members(Some(later), 10).await, []);

    store.add_member(project.id, ann.id).await.unwrap();
    assert_eq!(members(Some(back), 10).await, [(project.id, bob.id)]);
    store.remove_member(project.id, ann.id).await.unwrap();
    assert_eq!(members(Some(back), 10).await.len(), 2, "removed again");
    fixture.execute("UPDATE projects SET is_open = TRUE").await;
    assert_eq!(members(Some(back), 10).await, [], "all users see an open project");
}
