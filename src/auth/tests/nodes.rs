//! Two nodes on one store: what ends or changes on one of them counts on the other at once, before
//! it reads the store or its cache expires.

use bellpull_actors::hub::{Hub, HubLimits, HubNames, HubParts};
use bellpull_actors::write_rate::WriteRate;
use bellpull_port::LeaseOwner;
use bellpull_port::session::{Client, Feed, SessionStart};
use bellpull_port::slow::SlowLog;
use bellpull_port::testing::{FakeClock, FakeNet, FakeOutlet, FakeStore as FakeActorStore, Probe};

use super::*;

struct Node {
    auth: Auth,
    hub: Hub,
}

/// A node of `bench`'s store, which others reach through `broker`.
async fn node(bench: &Bench, store: &FakeActorStore, broker: Arc<dyn Broker>) -> Node {
    let parts = HubParts {
        tickets: Arc::new(store.clone()),
        inboxes: Arc::new(store.clone()),
        sends: Arc::new(store.clone()),
        retention: Arc::new(store.clone()),
        comments: Arc::new(store.clone()),
        broker: Arc::clone(&broker),
        clock: Arc::new(FakeClock::default()),
        names: HubNames { epoch: "an-epoch".into(), node: "a-node".into() },
        owner: LeaseOwner::new("a-node", bench.clock.now()),
        limits: HubLimits::default(),
        writes: WriteRate::per_second(0),
        channels: Vec::new(),
        slow: SlowLog::default(),
    };
    let hub = Hub::start(parts).await.unwrap();
    let config = config();
    let signing = Signing::read(&config, &*bench.store, bench.clock.now()).await.unwrap();
    let (accounts, users) = (bench.store.clone(), Some(hub.users.clone()));
    let auth = Auth::new(signing, &config, accounts, users, bench.clock.clone());
    auth.subscribe(&*broker);
    Node { auth, hub }
}

async fn two_nodes(bench: &Bench) -> (Node, Node, FakeNet) {
    let (store, net) = (FakeActorStore::new(), FakeNet::default());
    let here = node(bench, &store, net.join()).await;
    (here, node(bench, &store, net.join()).await, net)
}

#[tokio::test]
async fn a_logout_is_known_to_every_node_at_once() {
    let bench = bench(config()).await;
    let (here, there, net) = two_nodes(&bench).await;
    let name = LoginName::Username("ada".to_owned());
    let tokens = here.auth.login(name, "lovelace".to_owned(), CLIENT).await.unwrap().0;
    let principal = there.auth.authenticate(&tokens.access).await.unwrap();
    here.auth.logout(Some(&principal), None).await.unwrap();
    let ended = Ending::TokenEnded(TokenEnd::LoggedOut);
    assert_eq!(there.auth.recheck(&principal).await, Err(ended));
    assert!(there.auth.authenticate(&tokens.access).await.is_err());
    // The token is refused before the sessions are closed: none comes back in between.
    let kinds: Vec<String> = net
        .published()
        .iter()
        .map(|(node, text)| {
            let kind = text.split([' ', '(']).next().unwrap();
            format!("{node} {kind}")
        })
        .collect();
    assert_eq!(kinds, ["0 LoginEnded", "0 SessionsEnded"]);
}

#[tokio::test]
async fn a_changed_account_is_read_anew_on_every_node() {
    let bench = bench(config()).await;
    let (here, there, net) = two_nodes(&bench).await;
    let token = bench.token(json!({}));
    there.auth.authenticate(&token).await.unwrap();
    bench.store.change(1, |ada| ada.is_active = false);
    assert!(there.auth.authenticate(&token).await.is_ok(), "still cached");
    here.auth.forget(UserId(1));
    assert!(there.auth.authenticate(&token).await.is_err(), "read anew");
    assert_eq!(net.published(), [(0, "AccountChanged(UserId(1))".to_owned())]);
}

/// A session of user 1 on that node, opened with this account.
async fn attach(node: &Node, account: &Arc<User>) -> Probe {
    let (outlet, probe) = FakeOutlet::new();
    let start = SessionStart {
        outlet: Box::new(outlet),
        feed: Feed::Nothing,
        stream: None,
        login: None,
        expires_at: Timestamp::MAX,
        client: Client::default(),
    };
    node.hub.users.attach(Arc::clone(account), start).await.unwrap();
    probe
}

/// Two sockets with a token of another role open at once: each brings the change, and the later one
/// may do so when the other one's session is there already. Other nodes hear of it later still.
#[tokio::test]
async fn a_change_of_role_ends_no_session_that_was_opened_with_the_new_one() {
    let bench = bench(config()).await;
    let (here, there, _) = two_nodes(&bench).await;
    let token = bench.token(json!({}));
    let client = here.auth.authenticate(&token).await.unwrap().user;
    let old = [attach(&here, &client).await, attach(&there, &client).await];
    bench.store.change(1, |ada| ada.role = Role::Admin);
    here.auth.forget(UserId(1));
    let admin = here.auth.authenticate(&token).await.unwrap().user;
    let new = [attach(&here, &admin).await, attach(&there, &admin).await];
    here.auth.role_changed((*admin).clone());
    let back = Ending::from(Revoked::Role);
    for old in &old {
        assert_eq!(old.ended().await, back);
    }
    // Once more, as by the second socket; and of an earlier change, which comes late.
    here.auth.role_changed((*admin).clone());
    let why = Revoked::Role;
    let late = BrokerMessage::SessionsEnded { user: UserId(1), login: None, why };
    there.auth.0.receive(late);
    // When the second of these is there, both are dealt with.
    for _ in 0..2 {
        let also = attach(&there, &admin).await;
        assert!(new.iter().chain([&also]).all(|new| new.seen().closed.is_none()));
    }
    bench.store.change(1, |ada| ada.role = Role::Client);
    let last = [attach(&here, &client).await, attach(&there, &client).await];
    here.auth.forget(UserId(1));
    here.auth.role_changed((*client).clone());
    for new in &new {
        assert_eq!(new.ended().await, back);
    }
    assert!(last.iter().all(|last| last.seen().closed.is_none()));
}

/// The broker owns no subscriber, so a hub that has ended does not live on through its broker.
#[tokio::test]
async fn a_subscriber_ends_with_its_owner() {
    let bench = bench(config()).await;
    let net = FakeNet::default();
    let broker = net.join();
    let auth = node(&bench, &FakeActorStore::new(), broker.clone()).await.auth;
    let inner = Arc::downgrade(&auth.0);
    drop(auth);
    assert!(inner.upgrade().is_none());
    net.join().publish(BrokerMessage::AccountChanged(UserId(1)));
}

/// More ended logins than are held, of another node: one that was ended here stays ended, since the
/// store is asked, and others stay open.
#[tokio::test]
async fn ended_logins_cannot_be_pushed_out_of_memory() {
    let bench = bench(config()).await;
    let log_in = async || {
        let name = LoginName::Username("ada".to_owned());
        bench.auth.login(name, "lovelace".to_owned(), CLIENT).await.unwrap().0
    };
    let (gone, open) = (log_in().await, log_in().await);
    let principal = bench.auth.authenticate(&gone.access).await.unwrap();
    bench.auth.logout(Some(&principal), None).await.unwrap();
    let now = bench.clock.now();
    let end = |login, until| {
        bench.auth.0.receive(BrokerMessage::LoginEnded { login: LoginId(login), until });
    };
    let late = now + jiff::SignedDuration::from_hours(24 * 365);
    (1_000_000..1_600_000).for_each(|login| end(login, late));
    assert!(!bench.auth.0.ended.contains(LoginId(1_000_000)), "no token lives so long");
    let hour = after(now, bench.auth.0.config.access_ttl_s);
    (1_000_000..1_600_000).for_each(|login| end(login, hour));
    assert!(!bench.auth.0.ended.contains(principal.login.unwrap()));
    assert_eq!(bench.refusal(&gone.access).await, "its login has ended");
    assert!(bench.auth.recheck(&principal).await.is_err());
    let other = bench.auth.authenticate(&open.access).await.unwrap();
    assert!(bench.auth.recheck(&other).await.is_ok());
    // Without the store, nothing is known of either.
    bench.store.is_away.store(true, Ordering::Relaxed);
    for token in [&gone.access, &open.access] {
        assert_eq!(bench.auth.authenticate(token).await.unwrap_err(), AuthError::Unavailable);
    }
    assert!(bench.auth.recheck(&other).await.is_err());
}
