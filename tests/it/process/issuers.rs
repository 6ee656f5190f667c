//! A hub beside another issuer of tokens: whose tokens open which account, and what their claims
//! change.

use std::path::{Path, PathBuf};

use bellpull_domain::user::APART_FROM;
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Caller, until};
use crate::support::now_s;
use crate::support::process::{Process, folder, person, run, run_ok};

const SECRET: &str = "a secret that the site and the hub have";

/// A hub that shares its secret with a site that admits users.
struct Beside {
    hub: Process,
    database: PathBuf,
    /// The second from which its tokens' ages count: which of two is older must not depend on when
    /// the test makes them.
    began_s: i64,
    _folder: TempDir,
}

impl Beside {
    /// A hub on this database, in whose folder its log is written.
    fn serve(folder: TempDir, database: PathBuf, more: &[(&str, &str)]) -> Self {
        let shared = [("BELLPULL_JWT_SECRET", SECRET), ("BELLPULL_AUTH_AUTO_PROVISION", "true")];
        let settings = [&shared[..], more].concat();
        let log = database.with_file_name("log");
        let hub = Process::serve_logged(&database, &settings, &log);
        Self { hub, database, began_s: now_s(), _folder: folder }
    }

    fn new() -> Self {
        let (folder, database) = folder();
        Self::serve(folder, database, &[])
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.database.with_file_name("log")).unwrap()
    }

    /// A user of the site, with a token that was issued so many seconds before the hub's start.
    fn user(&self, id: i64, age_s: i64, claims: &Value) -> Caller {
        let mut all = json!({"user_id": id, "token_type": "access", "jti": "x",
            "exp": now_s() + 600, "iat": self.began_s - age_s});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        Caller { id, token: encode(&Header::default(), &all, &key).unwrap(), at: self.hub.address }
    }

    /// Logs in at the hub.
    async fn login(&self, username: &str) -> (u16, Value) {
        let anyone = self.user(1, 0, &json!({}));
        let body = json!({"username": username, "password": "correct horse"});
        anyone.post("/api/auth/login/", body).await
    }
}

/// The account that a token opens.
async fn me(caller: &Caller) -> Value {
    let (status, told) = caller.get("/api/auth/me/").await;
    assert_eq!(status, 200, "{told}");
    told
}

fn own_with_secret(database: &Path, arguments: &[&str]) -> Value {
    let mut command = crate::support::process::command(database);
    let settings = [("BELLPULL_JWT_SECRET", SECRET), ("BELLPULL_AUTH_AUTO_PROVISION", "true")];
    let output = command.envs(settings).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_number_of_the_sites_does_not_open_an_account_of_the_hubs() {
    let (folder, database) = folder();
    person(&database, "root", "super_admin");
    let beside = Beside::serve(folder, database, &[("BELLPULL_AUTH_REGISTRATION", "true")]);
    let first = beside.user(1, 0, &json!({"role": "client", "username": "one"}));
    for path in ["/api/operator/tree/", "/api/auth/me/", "/api/notifications/"] {
        let (status, told) = first.get(path).await;
        assert_eq!((status, &told["code"]), (401, &json!("account_is_the_hubs")), "{path} {told}");
    }
    let socket = first.try_socket("").await;
    assert!(socket.is_none(), "a socket of the site's user 1 with the inbox of root");
    let log = beside.log();
    assert_eq!(log.matches("names user 1").count(), 1, "{log}");
    assert!(log.contains("bellpull user adopt --id 1`"), "{log}");
    assert!(log.contains("the hub's own: 1 (root)."), "the start names it: {log}");

    // A stranger's number is none that the site will give.
    for id in [2, 3, 4, 5] {
        me(&beside.user(id, 0, &json!({}))).await;
    }
    for n in 0..2 {
        let body = json!({"username": format!("stranger{n}"), "password": "correct horse",
            "email": format!("stranger{n}@example.com")});
        let (status, made) = first.post("/api/auth/register/", body).await;
        assert_eq!((status, &made["id"]), (201, &json!(APART_FROM + n)), "{made}");
    }
    let sixth = beside.user(6, 0, &json!({"username": "six"}));
    assert_eq!(me(&sixth).await["username"], "six");
    // The hub's own tokens open the hub's accounts, and the site's its own.
    let (status, told) = beside.login("stranger1").await;
    assert_eq!(status, 200, "{told}");
    let token = told["access"].as_str().unwrap().to_owned();
    let stranger = Caller { id: APART_FROM + 1, token, at: beside.hub.address };
    assert_eq!(me(&stranger).await["id"], APART_FROM + 1);
    let forged = beside.user(APART_FROM + 1, 0, &json!({}));
    assert_eq!(forged.get("/api/auth/me/").await.1["code"], "account_is_the_hubs");
}

#[tokio::test]
async fn an_adopted_account_is_the_sites_and_its_password_opens_it_no_more() {
    let (folder, database) = folder();
    person(&database, "root", "super_admin");
    person(&database, "other", "super_admin");
    let beside = Beside::serve(folder, database, &[]);
    let first = beside.user(1, 0, &json!({"username": "root", "role": "developer"}));
    assert_eq!(first.get("/api/auth/me/").await.0, 401);
    let (status, told) = beside.login("root").await;
    assert_eq!(status, 200);
    let token = told["access"].as_str().unwrap().to_owned();
    let before = Caller { token, ..first.clone() };
    let refused = run(&beside.database, &["user", "adopt", "--id", "9"]);
    assert_eq!(refused.status.code(), Some(1));
    let adopted = run_ok(&beside.database, &["user", "adopt", "--id", "1"]);
    let adopted: Value = serde_json::from_str(&adopted).unwrap();
    assert_eq!((&adopted["id"], &adopted["origin"]), (&json!(1), &json!("issuer")));
    until("the adopted account opens", async || first.get("/api/auth/me/").await.0 == 200).await;
    assert_eq!(me(&first).await["role"], "developer");
    assert_eq!(beside.login("root").await.0, 401);
    until("the login has ended", async || before.get("/api/auth/me/").await.0 == 401).await;
    // A second time changes nothing.
    run_ok(&beside.database, &["user", "adopt", "--id", "1"]);
}

#[tokio::test]
async fn where_tokens_come_from_elsewhere_none_registers_and_commands_number_apart() {
    let beside = Beside::new();
    let body = json!({"username": "stranger", "password": "correct horse",
        "email": "stranger@example.com"});
    let anyone = beside.user(1, 0, &json!({}));
    let (status, told) = anyone.post("/api/auth/register/", body).await;
    assert_eq!((status, &told["code"]), (403, &json!("disabled")), "{told}");
    let create = ["user", "create", "--password", "correct horse", "--role", "client"];
    let made = own_with_secret(&beside.database, &[&create[..], &["--username", "a"]].concat());
    assert_eq!((&made["id"], &made["origin"]), (&json!(APART_FROM), &json!("hub")));
    // The command need not have the hub's settings: the database knows.
    let made = run_ok(&beside.database, &[&create[..], &["--username", "b"]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["id"], APART_FROM + 1);
}

#[tokio::test]
async fn check_names_the_hubs_accounts_with_numbers_of_the_issuers() {
    let (_folder, database) = folder();
    person(&database, "root", "super_admin");
    let check = |settings: &[(&str, &str)]| {
        let mut command = crate::support::process::command(&database);
        command.envs(settings.iter().copied()).args(["check", "--json", "--listen", "127.0.0.1:0"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(!check(&[]).contains("root"));
    let elsewhere = check(&[("BELLPULL_AUTH_AUTO_PROVISION", "true")]);
    assert!(elsewhere.contains("1 (root)"), "{elsewhere}");
    assert!(elsewhere.contains("bellpull user adopt --id N"), "{elsewhere}");
}

/// Every family's frames have the largest numbers that the hub gives as they are.
#[tokio::test]
async fn a_number_of_the_hubs_passes_through_every_dialect() {
    let (folder, database) = folder();
    let beside = Beside::serve(folder, database, &[("BELLPULL_AUTH_REGISTRATION", "true")]);
    let create = ["user", "create", "--password", "correct horse", "--role", "super_admin"];
    own_with_secret(&beside.database, &[&create[..], &["--username", "chief"]].concat());
    let (_, told) = beside.login("chief").await;
    let token = told["access"].as_str().unwrap().to_owned();
    let chief = Caller { id: APART_FROM, token, at: beside.hub.address };
    assert_eq!(told["user"]["id"], APART_FROM);
    for dialect in ["incident", "project", "inbox", "academy"] {
        let query = format!("&dialect={dialect}");
        let url = format!("ws://{}/ws/notifications/?token={}{query}", chief.at, chief.token);
        let stream = tokio::net::TcpStream::connect(chief.at).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let greeting = super::Socket(socket).next().await;
        assert_eq!(greeting["user_id"], APART_FROM, "{dialect}");
    }
    let url = format!("ws://{}/ws/?token={}&dialect=bellpull.v1", chief.at, chief.token);
    let stream = tokio::net::TcpStream::connect(chief.at).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let welcome = super::Socket(socket).next().await;
    assert_eq!(welcome["user"]["id"], APART_FROM);
    // What such a user does names it in every frame.
    let mut own = chief.socket("&dialect=inbox").await;
    let sent = json!({"recipients": [APART_FROM], "title": "t", "message": "m"});
    assert_eq!(chief.post("/api/notifications/", sent).await.0, 202);
    let frame = own.next().await;
    assert_eq!(frame["notification"]["sender_id"], APART_FROM, "{frame}");
    let (_, row) = chief.get("/api/notifications/").await;
    let row = &row["results"][0];
    assert_eq!((&row["recipient"], &row["sender"]), (&json!(APART_FROM), &json!(APART_FROM)));
    // And a filter, a path and a list of recipients take it.
    for path in [
        format!("/api/users/{APART_FROM}/"),
        format!("/api/tickets/?created_by={APART_FROM}"),
        format!("/api/audit/?user={APART_FROM}"),
    ] {
        let (status, told) = chief.get(&path).await;
        assert_eq!(status, 200, "{path}: {told}");
    }
}

#[tokio::test]
async fn a_younger_tokens_claims_are_applied_and_an_older_ones_are_not() {
    let beside = Beside::new();
    let claims = json!({"role": "admin", "username": "ann", "email": "ann@example.com",
        "full_name": "Ann"});
    let admin = beside.user(201, 20, &claims);
    assert_eq!(admin.get("/api/users/").await.0, 200);
    let mut socket = admin.socket("").await;
    let mut claims = json!({"role": "client", "username": "ann.lee",
        "email": "ann.lee@example.com", "full_name": "Ann Lee"});
    let client = beside.user(201, 10, &claims);
    assert_eq!(client.get("/api/users/").await.0, 403, "the role was withdrawn");
    let account = me(&client).await;
    for name in ["role", "username", "email", "full_name"] {
        assert_eq!(account[name], claims[name], "{name}");
    }
    let (_, code, reason) = socket.drained().await;
    assert!([1012, 4403].contains(&code), "{code} {reason}");
    // The older token, in turns with the younger one.
    for _ in 0..5 {
        assert_eq!(admin.get("/api/users/").await.0, 403, "an older token gives no role back");
        assert_eq!(client.get("/api/users/").await.0, 403);
    }
    assert_eq!(me(&admin).await["username"], "ann.lee");
    // Of tokens of the same second the one with fewer rights counts.
    let developer = beside.user(201, 10, &json!({"role": "developer"}));
    assert_eq!(me(&developer).await["role"], "client");
    claims["role"] = json!("admin");
    assert_eq!(beside.user(201, 5, &claims).get("/api/users/").await.0, 200);
    let second = beside.user(201, 5, &json!({"role": "developer"}));
    assert_eq!(second.get("/api/users/").await.0, 403);
    // A token that does not say when it was issued takes rights, and gives none.
    let undated = |role| beside.user(201, 0, &json!({"iat": null, "role": role}));
    assert_eq!(me(&undated("client")).await["role"], "client");
    assert_eq!(me(&undated("super_admin")).await["role"], "client");
    // A name that was shown may be sent back, however long the issuer's is.
    let long = "x".repeat(251) + "👨\u{200d}👩\u{200d}👧 and more";
    let user = beside.user(202, 1, &json!({ "full_name": long }));
    let account = me(&user).await;
    assert_eq!(account["full_name"], "x".repeat(251) + "…");
    let (status, told) = user.ask(Method::PATCH, "/api/auth/me/", &account).await;
    assert_eq!((status, &told["full_name"]), (200, &account["full_name"]), "{told}");
    // What a claim does not say stays.
    let silent = beside.user(201, 1, &json!({"email": "no address", "role": "Big Boss"}));
    assert_eq!(me(&silent).await["email"], "ann.lee@example.com");
}

#[tokio::test]
async fn names_of_others_are_not_taken_by_claims() {
    let beside = Beside::new();
    me(&beside.user(1, 9, &json!({"username": "bob", "email": "bob@example.com"}))).await;
    me(&beside.user(2, 9, &json!({"username": "eve", "email": "eve@example.com"}))).await;
    let claims = json!({"username": "bob", "email": "BOB@example.com", "role": "developer"});
    let account = me(&beside.user(2, 5, &claims)).await;
    assert_eq!(account["username"], "bob-2");
    assert_eq!(
        (&account["email"], &account["role"]),
        (&json!("eve@example.com"), &json!("developer"))
    );
    let again = me(&beside.user(2, 1, &claims)).await;
    assert_eq!(again["username"], "bob-2", "the derived name stays");
    assert_eq!(me(&beside.user(1, 1, &json!({}))).await["username"], "bob");
}

#[tokio::test]
async fn claims_count_once_where_that_is_set() {
    let (folder, database) = folder();
    let beside = Beside::serve(folder, database, &[("BELLPULL_AUTH_CLAIMS", "first")]);
    assert_eq!(me(&beside.user(3, 9, &json!({"role": "developer"}))).await["role"], "developer");
    let later = beside.user(3, 1, &json!({"role": "admin", "username": "x"}));
    assert_eq!(me(&later).await["role"], "developer");
}

#[tokio::test]
async fn deactivation_ends_logins_and_tokens_for_good() {
    let (folder, database) = folder();
    let (_, chief) = person(&database, "chief", "super_admin");
    let (ada, _) = person(&database, "ada", "client");
    let hub = Process::serve(&database, &[]);
    let address = hub.address;
    let chief = Caller { id: 1, token: chief, at: address };
    let body = json!({"username": "ada", "password": "correct horse"});
    let (_, before) = chief.post("/api/auth/login/", body.clone()).await;
    let of = |tokens: &Value| {
        let token = tokens["access"].as_str().unwrap().to_owned();
        Caller { id: ada, token, at: address }
    };
    let signed =
        Caller { id: ada, token: run_ok(&database, &["token", "--user", "ada"]), ..of(&before) };
    let mut socket = of(&before).socket("").await;
    for caller in [&of(&before), &signed] {
        assert_eq!(caller.get("/api/auth/me/").await.0, 200);
    }
    for is_active in [false, true] {
        let path = format!("/api/users/{ada}/");
        let change = json!({ "is_active": is_active });
        assert_eq!(chief.ask(reqwest::Method::PATCH, &path, &change).await.0, 200);
    }
    let (_, code, reason) = socket.drained().await;
    assert_eq!(code, 4403, "{reason}");
    let refresh = json!({"refresh": before["refresh"]});
    for _ in 0..3 {
        assert_eq!(of(&before).get("/api/auth/me/").await.0, 401, "an access token of before");
        assert_eq!(
            chief.post("/api/auth/refresh/", refresh.clone()).await.0,
            401,
            "a refresh token"
        );
        assert_eq!(signed.get("/api/auth/me/").await.0, 401, "a token without a login");
    }
    // A new login is good at once.
    let (status, after) = chief.post("/api/auth/login/", body.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(of(&after).get("/api/auth/me/").await.0, 200);
    // By the command line the same, and after a restart.
    for active in ["false", "true"] {
        run_ok(&database, &["user", "set", "--username", "ada", "--active", active]);
    }
    until("the login has ended", async || of(&after).get("/api/auth/me/").await.0 == 401).await;
    assert!(hub.terminate().success());
    let hub = Process::serve(&database, &[]);
    let moved = of(&after).moved(hub.address);
    assert_eq!(moved.get("/api/auth/me/").await.0, 401);
    drop(folder);
}

#[tokio::test]
async fn the_sites_tokens_of_before_a_deactivation_stay_refused() {
    let beside = Beside::new();
    let create = ["user", "create", "--password", "correct horse", "--role", "super_admin"];
    own_with_secret(&beside.database, &[&create[..], &["--username", "chief"]].concat());
    let (_, told) = beside.login("chief").await;
    let token = told["access"].as_str().unwrap().to_owned();
    let chief = Caller { id: APART_FROM, token, at: beside.hub.address };
    let (old, undated) = (beside.user(7, 5, &json!({})), beside.user(7, 0, &json!({"iat": null})));
    me(&old).await;
    me(&undated).await;
    for is_active in [false, true] {
        let change = json!({ "is_active": is_active });
        assert_eq!(chief.ask(reqwest::Method::PATCH, "/api/users/7/", &change).await.0, 200);
    }
    assert_eq!(old.get("/api/auth/me/").await.0, 401);
    assert_eq!(undated.get("/api/auth/me/").await.0, 401, "its age is not known");
    // Younger by more than the second that `iat` counts in.
    me(&beside.user(7, -2, &json!({}))).await;
}

#[tokio::test]
async fn names_and_passwords_are_the_same_however_they_are_typed() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let anyone = Caller { id: 0, token: String::new(), at: hub.address };
    let account = |username: &str, email: &str| json!({"username": username, "email": email, "password": "p\u{e4}ssword-1"});
    let jose = account("jose\u{301}", "\u{fc}nal@example.com");
    let (status, made) = anyone.post("/api/auth/register/", jose).await;
    assert_eq!((status, &made["username"]), (201, &json!("jos\u{e9}")), "{made}");
    for (name, value) in [
        ("username", "jos\u{e9}"),
        ("username", "JOSE\u{301}"),
        ("username", "\u{ff4a}ose\u{301}"),
        ("email", "\u{dc}nal@Example.com"),
    ] {
        for password in ["p\u{e4}ssword-1", "pa\u{308}ssword-1"] {
            let mut body = json!({ "password": password });
            body[name] = json!(value);
            let (status, told) = anyone.post("/api/auth/login/", body).await;
            assert_eq!(status, 200, "{value:?} {password:?}: {told}");
        }
    }
    let body = json!({"username": "jose", "password": "p\u{e4}ssword-1"});
    assert_eq!(anyone.post("/api/auth/login/", body).await.0, 401);
}

#[tokio::test]
async fn a_set_without_issuer_and_audience_is_warned_of() {
    let (_folder, database) = folder();
    let set = database.with_file_name("jwks.json");
    let key =
        EncodingKey::from_ec_pem(include_bytes!("../../../src/auth/testkeys/p256.pem")).unwrap();
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256);
    let bad = json!({"kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA"});
    std::fs::write(&set, json!({"keys": [jwk.unwrap(), bad]}).to_string()).unwrap();
    let file = ("BELLPULL_AUTH_JWKS_FILE", set.to_str().unwrap());
    let issuer = ("BELLPULL_AUTH_ISSUER", "https://login.example.com");
    let audience = ("BELLPULL_AUTH_AUDIENCE", "bellpull");
    for (settings, is_warned) in
        [(vec![file], true), (vec![file, issuer], false), (vec![file, audience], false)]
    {
        let log = database.with_file_name("log");
        let hub = Process::serve_logged(&database, &settings, &log);
        assert!(hub.terminate().success());
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.contains("without auth.issuer and auth.audience"), is_warned, "{log}");
        assert!(log.contains("skipped") && log.contains("short"), "{log}");
    }
}

#[tokio::test]
async fn a_changed_role_brings_a_client_back_and_a_deactivated_account_does_not() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let chief = Caller::join(&database, hub.address, "chief", "super_admin");
    let ada = Caller::join(&database, hub.address, "ada", "client");
    let path = format!("/api/users/{}/", ada.id);
    let change = async |change: Value| {
        assert_eq!(chief.ask(reqwest::Method::PATCH, &path, &change).await.0, 200);
    };
    for role in ["developer", "admin", "client"] {
        let mut socket = ada.socket("").await;
        change(json!({ "role": role })).await;
        let (_, code, reason) = socket.drained().await;
        assert_eq!((code, reason.as_str()), (1012, "{\"retry_after_ms\":0}"), "{role}");
    }
    // A command beside the hub: it is read from the store.
    let mut socket = ada.socket("").await;
    run_ok(&database, &["user", "set", "--username", "ada", "--role", "developer"]);
    assert_eq!(socket.drained().await.1, 1012);
    let mut socket = ada.socket("").await;
    run_ok(&database, &["user", "set", "--username", "ada", "--active", "false"]);
    assert_eq!(socket.drained().await.1, 4403);
}

#[tokio::test]
async fn names_that_mislead_are_refused() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let chief = Caller::join(&database, hub.address, "chief", "super_admin");
    let name = json!({"full_name": "Root Super"});
    let patch = reqwest::Method::PATCH;
    assert_eq!(chief.ask(patch.clone(), "/api/auth/me/", &name).await.0, 200);
    let ada = Caller::join(&database, hub.address, "ada", "client");
    let register = async |username: &str, full_name: &str| {
        let letters: String = username.chars().filter(char::is_ascii_alphabetic).collect();
        let body = json!({"username": username, "email": format!("{letters}@example.com"),
            "password": "correct horse", "full_name": full_name});
        chief.post("/api/auth/register/", body).await
    };
    for username in ["bob.", "bob-", "bob_", "bob+", "bob@", "bob.-"] {
        let (status, told) = register(username, "").await;
        assert_eq!((status, told["username"].is_array()), (400, true), "{username} {told}");
    }
    assert_eq!(register("bo.b", "").await.0, 201);
    for like in
        ["Root Super", "root  super", "R\u{43e}\u{43e}t-Super", "Root\u{200b} Super", "chief"]
    {
        let name = json!({ "full_name": like });
        let (status, told) = ada.ask(patch.clone(), "/api/auth/me/", &name).await;
        assert_eq!(
            (status, &told["full_name"]),
            (400, &json!(["This name looks like an admin's."])),
            "{like:?}"
        );
        let path = format!("/api/users/{}/", ada.id);
        assert_eq!(chief.ask(patch.clone(), &path, &name).await.0, 400, "{like:?}");
    }
    let (status, told) = register("carl", "Root Super").await;
    assert_eq!((status, told["full_name"].is_array()), (400, true), "{told}");
    let refused =
        run(&database, &["user", "set", "--username", "ada", "--full-name", "Root Super"]);
    assert_eq!(refused.status.code(), Some(1));
    // What is there is accepted with the rest, and an admin may have the name.
    let role = json!({"role": "admin", "full_name": "Root Super"});
    assert_eq!(chief.ask(patch, &format!("/api/users/{}/", ada.id), &role).await.0, 200);
}

#[tokio::test]
async fn a_form_with_one_field_takes_a_username_with_an_at_and_an_address() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let anyone = Caller { id: 0, token: String::new(), at: hub.address };
    let body = json!({"username": "mail@corp.example", "email": "me@example.com",
        "password": "correct horse"});
    assert_eq!(anyone.post("/api/auth/register/", body).await.0, 201);
    for name in ["mail@corp.example", "me@example.com", "ME@Example.com"] {
        let body = json!({"username": name, "password": "correct horse"});
        assert_eq!(anyone.post("/api/auth/login/", body).await.0, 200, "{name}");
    }
    let body = json!({"username": "other@example.com", "password": "correct horse"});
    assert_eq!(anyone.post("/api/auth/login/", body).await.0, 401);
}
