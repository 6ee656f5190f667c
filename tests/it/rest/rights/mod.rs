//! Rights as a property of the whole interface: every operation of the OpenAPI document that the
//! hub serves, by every kind of caller, with ids of resources that belong to others and with ids
//! that were never made.
//!
//! No such request succeeds, unless [`ALLOWED`] says why it may; and a resource of another user is
//! answered like one that does not exist: same status, same headers, same body. An operation that
//! the generator cannot fill fails the test, so a new one cannot be left out.

mod allowed;
mod cases;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use self::allowed::{ALLOWED, Allowed, How, OPEN};
use self::cases::{Case, Request, cases, open_operations};
use self::world::{Caller, Role, World};

/// An answer without what differs between any two.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

async fn ask(world: &World, caller: &Caller, request: &Request) -> Answer {
    let mut sent = world.hub().request(request.method.clone(), &request.target());
    if let Some(token) = &caller.token {
        sent = sent.bearer_auth(token);
    }
    if let Some(body) = &request.body {
        sent = sent.json(body);
    }
    let response = sent.send().await.unwrap();
    let status = response.status().as_u16();
    let headers: BTreeMap<String, String> = response
        .headers()
        .iter()
        .filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    // A stream does not end by itself.
    let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let body = if is_stream { String::new() } else { response.text().await.unwrap() };
    Answer { status, headers, body }
}

/// The answer with the ids of its request taken out.
fn without(mut answer: Answer, ids: &[String]) -> Answer {
    for id in ids {
        let parts: Vec<&str> = answer.body.split(id.as_str()).collect();
        answer.body = parts.join("…");
    }
    answer
}

/// What the answers to a case show.
#[derive(Default)]
struct Shown {
    /// What is wrong for every caller.
    wrong: Vec<String>,
    /// That it succeeds.
    success: Option<String>,
    /// That another user's resource is told from one that does not exist.
    difference: Option<String>,
}

async fn judge(world: &World, caller: &Caller, case: &Case) -> Shown {
    let (mut shown, name) = (Shown::default(), case.name());
    let foreign = ask(world, caller, &case.foreign).await;
    if foreign.is_success() {
        shown.success = Some(format!("{name} succeeds: {} {:.200}", foreign.status, foreign.body));
    }
    if foreign.status >= 500 {
        shown.wrong.push(format!("{name} fails: {foreign:?}"));
    }
    let foreign = without(foreign, &case.foreign.ids);
    for never in &case.never {
        let missing = without(ask(world, caller, never).await, &never.ids);
        if missing != foreign {
            let told = format!("{name} tells them apart: {foreign:?} from {missing:?}");
            shown.difference = Some(told);
        }
    }
    shown
}

fn how(role: Role, case: &Case) -> Option<How> {
    let named = |one: &&Allowed| one.covers(role, case.method.as_str(), &case.path, &case.slot);
    ALLOWED.iter().find(named).map(|one| one.how)
}

/// Tries everything as one caller.
async fn holds(role: Role) {
    let world = World::gather().await;
    let caller = world.caller(role).await;
    let response = world.hub().request(Method::GET, "/api/schema/").send().await.unwrap();
    let document: Value = response.json().await.unwrap();
    let before = world.snapshot().await;
    let (mut wrong, mut needed) = (Vec::new(), BTreeSet::new());
    let mut all = cases(&document, &world, &caller);
    assert!(all.len() > 80, "the document was not read: {}", all.len());
    all.sort_by_key(Case::harm);
    for case in &all {
        let shown = judge(&world, &caller, case).await;
        wrong.extend(shown.wrong);
        let how = how(role, case);
        let is_needed = match how {
            None => false,
            Some(How::Own) => shown.success.is_some(),
            Some(How::Sees) => shown.success.is_some() || shown.difference.is_some(),
        };
        if is_needed {
            needed.insert(case.name());
        }
        wrong.extend(shown.success.filter(|_| how.is_none()));
        wrong.extend(shown.difference.filter(|_| how != Some(How::Sees)));
    }
    for one in ALLOWED.iter().filter(|one| one.roles.contains(&role)) {
        let stale = one.names().filter(|name| !needed.contains(name));
        wrong.extend(stale.map(|name| format!("{name} is allowed in vain ({})", one.why)));
    }
    if !role.is_admin() {
        assert_eq!(world.snapshot().await, before, "something of another user's has changed");
        assert!(world.had_browser().await, "another user's browser is told no more");
    }
    assert!(wrong.is_empty(), "{role:?}, {} faults:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! roles {
    ($($test:ident: $role:ident;)*) => {
        $(#[tokio::test]
        async fn $test() {
            holds(Role::$role).await;
        })*
    };
}

roles! {
    a_caller_without_a_token_reaches_nothing: Anonymous;
    a_token_of_an_ended_login_reaches_nothing: Ended;
    a_token_of_a_deactivated_account_reaches_nothing: Deactivated;
    a_refresh_token_reaches_nothing: Refresh;
    a_client_reaches_nothing_of_others: Client;
    a_user_of_another_role_reaches_nothing_of_others: Student;
    a_developer_reaches_nothing_of_others: Developer;
    an_admin_reaches_what_is_the_admins: Admin;
    a_super_admin_reaches_what_is_the_super_admins: SuperAdmin;
    a_service_token_reaches_what_is_the_services: Service;
}

/// The operations that need no token are known, each with its reason.
#[tokio::test]
async fn the_operations_without_a_token_are_those_that_are_meant() {
    let document: Value = serde_json::from_str(&bellpull::http::document()).unwrap();
    let found = open_operations(&document);
    let wanted: BTreeSet<String> =
        OPEN.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(found, wanted);
    assert!(OPEN.iter().all(|(_, _, why)| !why.is_empty()));
}

/// What is wrong is said in JSON, and repeats little of what was sent.
#[tokio::test]
async fn errors_repeat_little_of_what_was_sent() {
    let world = World::gather().await;
    let caller = world.caller(Role::SuperAdmin).await;
    let document: Value = serde_json::from_str(&bellpull::http::document()).unwrap();
    let markup = "<script>alert(1)</script>";
    let long = markup.repeat(40);
    let mut wrong = Vec::new();
    for request in cases::with_text(&document, &world, &caller, &long) {
        let answer = ask(&world, &caller, &request).await;
        let name = format!("{} {:.80} {:.90?}", request.method, request.target(), request.body);
        if (400..).contains(&answer.status) {
            let header = |name: &str| answer.headers.get(name).map(String::as_str);
            assert_eq!(header("content-type"), Some("application/json"), "{name}");
            assert_eq!(header("x-content-type-options"), Some("nosniff"), "{name}");
            // Four of them are a hundred characters.
            if answer.body.matches(markup).count() > 4 {
                wrong.push(format!("{name}: {:.300}", answer.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
}

/// A door without a token does not tell which accounts there are. (`register` must tell that a name
/// is taken.)
#[tokio::test]
async fn no_open_operation_tells_which_accounts_exist() {
    let world = World::gather().await;
    let caller = Caller { token: None, ticket: None };
    for (path, known, unknown) in [
        (
            "/api/auth/login/",
            json!({"username": world.owner_name(), "password": "wrong horse"}),
            json!({"username": "not-there", "password": "wrong horse"}),
        ),
        (
            "/api/auth/login/",
            json!({"email": "carl@example.com", "password": "wrong horse"}),
            json!({"email": "not-there@example.com", "password": "wrong horse"}),
        ),
        (
            "/api/auth/password/reset/",
            json!({"email": "carl@example.com"}),
            json!({"email": "not-there@example.com"}),
        ),
    ] {
        let request = |body| Request::new(Method::POST, path, Some(body));
        let known = ask(&world, &caller, &request(known)).await;
        assert_eq!(known, ask(&world, &caller, &request(unknown)).await, "{path}");
    }
}
