//! Two nodes change the same accounts at the same time: one is after the other.

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::address::AddressChanges;
use bellpull_domain::escalation::{Escalation, POLICIES_MAX, Step};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{LinkId, UserId};
use bellpull_domain::plan::login::RefreshUse;
use bellpull_domain::preference::{PreferenceChanges, Wish};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::user::Role;
use bellpull_domain::webhook::{HookAddress, HookOwner, HookSecret, NewWebhook, PER_USER_MAX};
use bellpull_port::account_links::{LinkTo, NewLink, PasswordChange};
use bellpull_port::accounts::UserChanges;
use bellpull_port::push::NewSubscription;
use bellpull_port::templates::{PutTemplate, Source, TEMPLATES_MAX, TemplateKey, WrittenTemplate};
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{
    AccountStore, EscalationStore, PreferenceStore, PushStore, Store, StoreError, TemplateStore,
    WebhookStore,
};
use futures_util::future::join_all;

use super::people::{at, first};
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

/// Several nodes on one database.
struct Nodes {
    nodes: Vec<PostgresStore>,
    database: Database,
}

impl Nodes {
    async fn start() -> Option<Self> {
        if server().is_none() {
            skipped("TEST_POSTGRES names no PostgreSQL server");
            return None;
        }
        let database = Database::create().await;
        let url = database.url();
        let options = || StoreOptions {
            channels: Channels::of(&[Channel::Email]),
            connections: 3,
            ..StoreOptions::default()
        };
        let nodes = join_all((0..3).map(|_| PostgresStore::open(&url, options()))).await;
        Some(Self { nodes: nodes.into_iter().map(Result::unwrap).collect(), database })
    }

    /// Accounts with an address and a password.
    async fn accounts(&self, count: i64, role: &str) -> Vec<UserId> {
        let sql = format!(
            "INSERT INTO users (username, full_name, role, password_hash, email_verified, \
             created_at) SELECT 'user' || n, '', '{role}', '$old$', FALSE, 0 \
             FROM generate_series(1, {count}) n; \
             INSERT INTO addresses SELECT id, 'EMAIL', username || '@example.com' FROM users; \
             INSERT INTO name_keys SELECT 'email', username || '@example.com', id FROM users"
        );
        self.database.execute(&sql).await;
        (1..=count).map(UserId).collect()
    }

    async fn close(self) {
        join_all(self.nodes.iter().map(Store::close)).await;
    }
}

fn changes() -> UserChanges {
    UserChanges::default()
}

#[tokio::test]
async fn the_last_super_admin_stays() {
    let Some(all) = Nodes::start().await else { return };
    let chiefs = all.accounts(3, "super_admin").await;
    for round in 0..10 {
        let losses = all.nodes.iter().zip(&chiefs).enumerate().map(|(n, (node, chief))| {
            let loss = match (n + round) % 2 {
                0 => UserChanges { role: Some(Role::Admin), ..changes() },
                _ => UserChanges { is_active: Some(false), ..changes() },
            };
            node.update_user(*chief, loss)
        });
        let refused: Vec<_> = join_all(losses).await.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, [StoreError::LastSuperAdmin]);
        all.database.execute("UPDATE users SET role = 'super_admin', is_active = TRUE").await;
    }
    all.close().await;
}

#[tokio::test]
async fn an_address_is_one_accounts() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(3, "client").await;
    for round in 0..10 {
        let moves = all.nodes.iter().zip(&users).map(|(node, user)| {
            let email = format!("Wanted{round}@example.com");
            let addresses = AddressChanges::email(&email);
            node.update_user(*user, UserChanges { addresses, ..changes() })
        });
        let refused: Vec<_> = join_all(moves).await.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, [StoreError::Taken("email"), StoreError::Taken("email")]);
    }
    all.close().await;
}

#[tokio::test]
async fn a_change_stands_on_the_role_that_another_node_wrote() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(1, "client").await;
    let change = |role: &str| UserChanges {
        role: Some(role.parse().unwrap()),
        seen_role: Some(Role::Client),
        ..changes()
    };
    let rivals = all.nodes.iter().zip(["admin", "developer", "teacher"]);
    let rivals = rivals.map(|(node, role)| node.update_user(users[0], change(role)));
    let refused: Vec<_> = join_all(rivals).await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, [StoreError::Conflict, StoreError::Conflict]);
    all.close().await;
}

#[tokio::test]
async fn a_refresh_token_that_two_have_ends_its_login() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(1, "client").await;
    let [a, b, c] = &all.nodes[..] else { panic!("three nodes") };
    for _ in 0..10 {
        let login = a.begin_login(users[0], Some("$old$"), at(0), at(60), at(900)).await.unwrap();
        let used =
            |node, generation| PostgresStore::use_refresh(node, login, generation, at(1), at(60));
        let (two, one, again) = tokio::join!(used(a, 2), used(b, 1), used(c, 2));
        let outcomes = [two.unwrap(), one.unwrap(), again.unwrap()];
        let reused = RefreshUse::Reused { user: users[0], access_until: at(60) };
        let good = RefreshUse::Good(users[0]);
        // The first generation came before both of the second, or it ended the login.
        assert!(outcomes[1] == good || outcomes[1] == reused, "{outcomes:?}");
        let after = a.use_refresh(login, 3, at(2), at(60)).await.unwrap();
        assert_eq!(after == good, outcomes[1] == good, "{outcomes:?}");
    }
    all.close().await;
}

#[tokio::test]
async fn no_login_outlives_a_new_password() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(1, "client").await;
    let [a, b, c] = &all.nodes[..] else { panic!("three nodes") };
    for round in 0..10 {
        let (seen, password_hash) = (hash(round), hash(round + 1));
        let begin =
            |node| PostgresStore::begin_login(node, users[0], Some(&seen), at(0), at(60), at(900));
        let new = PasswordChange {
            user: users[0],
            password_hash,
            seen: Some(seen.clone()),
            keep: None,
            now: at(1),
        };
        let (one, changed, two) = tokio::join!(begin(a), b.change_password(new), begin(c));
        changed.unwrap();
        for login in [one, two].into_iter().flatten() {
            let used = a.use_refresh(login, 0, at(2), at(60)).await.unwrap();
            assert_eq!(used, RefreshUse::Ended);
        }
    }
    all.close().await;
}

fn hash(round: i32) -> String {
    if round == 0 { "$old$".to_owned() } else { format!("${round}$") }
}

#[tokio::test]
async fn a_link_is_used_once() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(1, "client").await;
    let new = |ms| NewLink {
        purpose: LinkPurpose::Password,
        to: LinkTo::Email("USER1@Example.com".to_owned()),
        now: at(ms),
    };
    let mailed = join_all(all.nodes.iter().map(|node| node.mail_link(new(0)))).await;
    assert!(mailed.into_iter().all(|made| made.unwrap()));
    let mut connection = all.database.connect().await;
    let sql = "SELECT l.id, m.event FROM account_links l JOIN deliveries d ON d.target_id = l.id \
               JOIN messages m ON m.id = d.message_id \
               WHERE d.channel = 'EMAIL' AND d.status = 'QUEUED' ORDER BY l.id";
    let queued: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
    assert_eq!(queued.len(), 3, "each has its e-mail");
    assert!(queued.iter().all(|(_, event)| event == "password_reset"), "{queued:?}");
    let link = AccountLink {
        id: LinkId(queued[0].0),
        user: users[0],
        purpose: LinkPurpose::Password,
        expires_at: LinkPurpose::Password.expires_at(at(0)),
    };
    let rivals = all.nodes.iter().zip(["$1$", "$2$", "$3$"]);
    let rivals = rivals.map(|(node, hash)| node.reset_password(link, hash.to_owned(), at(1)));
    let used = join_all(rivals).await;
    let used: Vec<bool> = used.into_iter().map(|used| used.unwrap().is_some()).collect();
    assert_eq!(used.iter().filter(|used| **used).count(), 1, "{used:?}");
    let kept = all.nodes[0].password_hash(users[0]).await.unwrap().unwrap();
    let winner = used.iter().position(|used| *used).unwrap();
    assert_eq!(kept, ["$1$", "$2$", "$3$"][winner]);
    all.close().await;
}

#[tokio::test]
async fn of_links_mailed_at_once_a_few_stay_open() {
    let Some(all) = Nodes::start().await else { return };
    all.accounts(1, "client").await;
    let mails = (0..30).map(|n| {
        let to = LinkTo::User(UserId(1));
        let new = NewLink { purpose: LinkPurpose::Email, to, now: at(n) };
        all.nodes[usize::try_from(n).unwrap() % 3].mail_link(new)
    });
    assert!(join_all(mails).await.into_iter().all(|made| made.unwrap()));
    let mut connection = all.database.connect().await;
    let sql = "SELECT count(*) FROM account_links WHERE ended_at IS NULL";
    let open: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    assert_eq!(open, 5);
    all.close().await;
}

#[tokio::test]
async fn wishes_of_two_nodes_are_merged() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(1, "client").await;
    let wishes = (0..30).map(|n| {
        let mut changes = PreferenceChanges::default();
        changes.events.insert(format!("event{n}"), [(Channel::Email, Wish::No)].into());
        all.nodes[n % 3].change_preferences(users[0], changes, at(1))
    });
    for changed in join_all(wishes).await {
        changed.unwrap().unwrap();
    }
    assert_eq!(all.nodes[0].preferences(users[0]).await.unwrap().events.len(), 30);
    all.close().await;
}

#[tokio::test]
async fn a_browser_is_the_last_ones() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(3, "client").await;
    let mut connection = all.database.connect().await;
    for round in 0..10 {
        let endpoint = format!("https://push.example/{round}");
        let subscribed = all.nodes.iter().zip(&users).map(|(node, user)| {
            let browser = NewSubscription {
                endpoint: endpoint.clone(),
                lane: "push.example".to_owned(),
                p256dh: "key".to_owned(),
                auth: format!("of {user}"),
                login: None,
            };
            node.subscribe(*user, browser, at(round))
        });
        let ids: Vec<i64> = join_all(subscribed).await.into_iter().map(Result::unwrap).collect();
        let sql = "SELECT id, user_id, auth FROM push_subscriptions WHERE endpoint = $1";
        let query = sqlx::query_as(sql).bind(&endpoint);
        let (id, user, auth): (i64, i64, String) = query.fetch_one(&mut connection).await.unwrap();
        let at = users.iter().position(|one| one.0 == user).unwrap();
        assert_eq!((id, auth), (ids[at], format!("of {user}")));
        assert!(ids.iter().filter(|one| **one == id).count() == 1, "{ids:?}");
    }
    all.close().await;
}

#[tokio::test]
async fn the_limit_of_webhooks_holds() {
    let Some(all) = Nodes::start().await else { return };
    let users = all.accounts(1, "client").await;
    let most = usize::try_from(PER_USER_MAX).unwrap();
    let new = || NewWebhook {
        owner: HookOwner::User(users[0]),
        address: HookAddress { url: "https://h.example/".to_owned(), lane: "h.example".to_owned() },
        events: Vec::new(),
        description: String::new(),
        is_active: true,
        secret: HookSecret::new("secret".to_owned()),
    };
    let made = join_all((0..most + 6).map(|n| all.nodes[n % 3].create_webhook(new(), at(1)))).await;
    let made = made.into_iter().filter(|made| made.as_ref().unwrap().is_some()).count();
    assert_eq!(made, most);
    let page = all.nodes[0].webhooks(WhichWebhooks::Own(users[0]), first(100)).await.unwrap();
    assert_eq!(page.count, i64::from(PER_USER_MAX));
    all.close().await;
}

#[tokio::test]
async fn the_limits_of_templates_and_policies_hold() {
    let Some(all) = Nodes::start().await else { return };
    let sql = format!(
        "INSERT INTO templates SELECT 'e' || n, 'EMAIL', 'en', '', '', '', 0 \
         FROM generate_series(1, {TEMPLATES_MAX} - 2) n; \
         INSERT INTO escalations SELECT 'e' || n, '[]', 0 FROM generate_series(1, {POLICIES_MAX} - 2) n"
    );
    all.database.execute(&sql).await;
    let new = |n: usize| WrittenTemplate {
        key: TemplateKey {
            event: format!("new{n}"),
            channel: Channel::Email,
            locale: "en".parse().unwrap(),
        },
        source: Source::default(),
        updated_at: at(1),
        updated_by: None,
    };
    let put = join_all((0..9).map(|n| all.nodes[n % 3].put_template(new(n), None))).await;
    let put: Vec<PutTemplate> = put.into_iter().map(Result::unwrap).collect();
    assert_eq!(put.iter().filter(|put| **put == PutTemplate::Created).count(), 2, "{put:?}");
    assert_eq!(put.iter().filter(|put| **put == PutTemplate::TooMany).count(), 7, "{put:?}");
    assert_eq!(all.nodes[1].templates_version().await.unwrap(), 2, "by what was written");

    let events: Vec<Event> = (0..9).map(|n| Event::from_name(&format!("new{n}"))).collect();
    let set = events.iter().enumerate().map(|(n, event)| {
        let step = Step { channel: Channel::Sms, after_s: 60 };
        let escalation = Escalation::new(vec![step]).unwrap();
        all.nodes[n % 3].set_escalation(event, escalation, None, at(1))
    });
    let set = join_all(set).await.into_iter().filter(|set| set.as_ref().unwrap().is_some()).count();
    assert_eq!(set, 2);
    all.close().await;
}
