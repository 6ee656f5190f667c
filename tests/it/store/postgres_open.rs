//! A PostgreSQL database is opened: by several nodes at once, and with all that an operator can
//! get wrong. Each error is one line without a password.

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::{OpenError, PostgresStore};
use bellpull_port::{AccountStore, Store};
use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::people::new_user;
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

/// Ends the test if there is no server.
macro_rules! need_server {
    () => {
        if server().is_none() {
            return skipped("TEST_POSTGRES names no PostgreSQL server");
        }
    };
}

async fn open(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(url, StoreOptions { connections: 3, ..StoreOptions::default() }).await
}

/// The error's text, which must be one line without the password.
async fn refused(url: &str) -> String {
    let text = open(url).await.unwrap_err().to_string();
    assert!(!text.contains("hunter2") && text.lines().count() == 1, "{text}");
    text
}

/// The URL with another user, and a password that must not be shown.
fn as_user(url: &str, user: &str) -> String {
    let mut url = reqwest::Url::parse(url).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some("hunter2")).unwrap();
    url.to_string()
}

#[tokio::test]
async fn nodes_that_start_at_once_on_an_empty_database_all_start() {
    need_server!();
    let database = Database::blank().await;
    let url = database.url();
    let nodes: Vec<_> =
        join_all((0..3).map(|_| open(&url))).await.into_iter().map(Result::unwrap).collect();
    let values = nodes.iter().enumerate().map(|(n, node)| async move {
        node.setting_or_insert("epoch", &format!("of node {n}")).await.unwrap()
    });
    let values = join_all(values).await;
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    join_all(nodes.iter().map(Store::close)).await;
    // Later ones find everything as it is.
    let later = open(&url).await.unwrap();
    assert_eq!(later.setting("epoch").await.unwrap().as_ref(), Some(&values[0]));
    later.close().await;
}

#[tokio::test]
async fn keys_of_names_are_filled_once_and_the_oldest_account_has_them() {
    need_server!();
    let database = Database::create().await;
    let sql = "INSERT INTO users (username, full_name, role, created_at) VALUES \
               ('ann', '', 'client', 0), ('\u{430}nn', '', 'client', 0), ('bob', '', 'client', 0);\
               INSERT INTO addresses SELECT id, 'EMAIL', username || '@example.com' FROM users \
               WHERE username <> 'bob'";
    database.execute(sql).await;
    let url = database.url();
    let nodes = join_all((0..3).map(|_| open(&url))).await;
    for node in nodes {
        node.unwrap().close().await;
    }
    let mut connection = database.connect().await;
    let sql = "SELECT kind, username FROM name_keys JOIN users ON id = user_id ORDER BY 1, 2";
    let keys: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
    let wanted = [("email", "ann"), ("username", "ann"), ("username", "bob")];
    assert_eq!(keys, wanted.map(|(kind, name)| (kind.to_owned(), name.to_owned())));
}

#[tokio::test]
async fn a_database_that_is_missing_is_named() {
    need_server!();
    let url = Database::blank().await.url();
    // It is dropped by now.
    let name = url.rsplit('/').next().unwrap();
    let name = name.split('?').next().unwrap();
    let text = refused(&url).await;
    assert!(text.starts_with(&format!("there is no database {name} at ")), "{text}");
    assert!(text.contains("CREATE DATABASE"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_down_is_named() {
    let text = refused("postgres://bell:hunter2@127.0.0.1:1/bells").await;
    let wanted = "cannot connect to PostgreSQL at 127.0.0.1:1/bells: Connection refused";
    assert!(text.starts_with(wanted), "{text}");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // As PostgreSQL answers; the test's own server may trust everyone.
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).await.unwrap(); // whether it encrypts
        socket.write_all(b"N").await.unwrap();
        let length = socket.read_u32().await.unwrap();
        let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
        socket.read_exact(&mut rest).await.unwrap();
        let mut body = Vec::new();
        for field in
            ["SFATAL", "VFATAL", "C28P01", "Mpassword authentication failed for user \"b\""]
        {
            body.extend(field.bytes().chain([0]));
        }
        body.push(0);
        socket.write_u8(b'E').await.unwrap();
        socket.write_u32(u32::try_from(body.len()).unwrap() + 4).await.unwrap();
        socket.write_all(&body).await.unwrap();
    });
    let text = refused(&format!("postgres://b:hunter2@127.0.0.1:{port}/bells")).await;
    server.await.unwrap();
    let wanted = format!(
        "PostgreSQL at 127.0.0.1:{port}/bells rejected the login of user b: password \
         authentication failed for user \"b\""
    );
    assert_eq!(text, wanted);
}

#[tokio::test]
async fn a_user_that_does_not_exist_is_named() {
    need_server!();
    let database = Database::create().await;
    let text = refused(&as_user(&database.url(), "stranger")).await;
    assert!(text.contains("rejected the login of user stranger: "), "{text}");
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_used_if_it_only_adds_and_else_left_alone() {
    need_server!();
    let database = Database::create().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
               execution_time) VALUES (9999, 'later', TRUE, '', 0)";
    database.execute(sql).await;
    let store = open(&database.url()).await.unwrap();
    assert!(store.setting_or_insert("epoch", "x").await.is_ok());
    store.close().await;
    // The previous version may use it; this one is older still.
    let sql = "INSERT INTO settings (name, value) VALUES ('readable_from', '9998')";
    database.execute(sql).await;
    let text = refused(&database.url()).await;
    let wanted = "was migrated by a newer version of bellpull (migration 9999 is unknown here)";
    assert!(text.contains(wanted), "{text}");
}

#[tokio::test]
async fn a_user_without_the_right_to_create_tables_is_told_so() {
    need_server!();
    let database = Database::blank().await;
    let user = format!("u{:016x}", fastrand::u64(..));
    // PostgreSQL 14 and older allowed it to everyone.
    let sql = format!(
        "CREATE USER {user} PASSWORD 'hunter2'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    );
    database.execute(&sql).await;
    let text = refused(&as_user(&database.url(), &user)).await;
    let owned = format!("DROP USER {user}");
    let options: PgConnectOptions = server().unwrap().parse().unwrap();
    let mut admin = options.connect().await.unwrap();
    sqlx::query(AssertSqlSafe(owned)).execute(&mut admin).await.unwrap();
    let wanted = format!("user {user} lacks a right: permission denied for schema public");
    assert!(text.contains(&wanted), "{text}");
}

#[tokio::test]
async fn a_store_with_few_connections_keeps_to_them_and_serves_all() {
    need_server!();
    let database = Database::create().await;
    let user = format!("u{:016x}", fastrand::u64(..));
    let sql = format!(
        "CREATE USER {user} PASSWORD 'hunter2' CONNECTION LIMIT 4; GRANT ALL ON SCHEMA public TO {user}; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}; \
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}"
    );
    database.execute(&sql).await;
    let options = StoreOptions { connections: 4, ..StoreOptions::default() };
    let url = as_user(&database.url(), &user);
    let store = PostgresStore::open(&url, options).await.unwrap();
    let writes = (0..40).map(|n| store.create_user(new_user(&format!("user{n}"), "client"), None));
    let made = join_all(writes).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    store.close().await;
    let sql = format!("DROP OWNED BY {user}; DROP USER {user}");
    database.execute(&sql).await;
}

/// A new version of the C library may sort other collations differently, which corrupts an index.
#[tokio::test]
async fn no_index_depends_on_the_c_library() {
    need_server!();
    let database = Database::create().await;
    let mut connection = database.connect().await;
    let sql = "SELECT i.indexrelid::regclass::text FROM pg_index i \
               JOIN pg_class c ON c.oid = i.indexrelid, unnest(i.indcollation) AS of (id) \
               JOIN pg_collation l ON l.oid = of.id \
               WHERE c.relnamespace = 'public'::regnamespace AND l.collname NOT IN ('C', 'POSIX')";
    let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).await.unwrap();
        socket.write_all(b"N").await.unwrap();
    });
    let url = format!("postgres://b:hunter2@127.0.0.1:{port}/bells?sslmode=require");
    let text = refused(&url).await;
    server.await.unwrap();
    let wanted = format!("PostgreSQL at 127.0.0.1:{port}/bells does not support TLS");
    assert!(text.starts_with(&wanted), "{text}");
}

#[tokio::test]
async fn an_address_that_is_not_valid_is_refused_without_it() {
    for url in [
        "postgres://b:hunter2@h:port/d",
        "postgres://b:hunter2@h/d?sslmode=maybe",
        "postgres://b:hunter2@h/d?port=many",
    ] {
        let text = refused(url).await;
        assert!(text.starts_with("the database's address is not valid: "), "{text}");
    }
}

/// Text of some languages would be refused later, one request at a time.
#[tokio::test]
async fn a_database_of_another_encoding_is_refused_by_name() {
    need_server!();
    let database = Database::blank_with("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'").await;
    let text = refused(&database.url()).await;
    assert!(text.contains("its encoding is SQL_ASCII"), "{text}");
    let text = bellpull::storage::look_at(&database.url(), 0).await.unwrap_err();
    assert!(text.contains("its encoding is SQL_ASCII"), "{text}");
}

/// A pooler refuses or drops what a client wishes at its start: nothing is wished there but what
/// each of them passes on.
#[tokio::test]
async fn a_connection_begins_with_what_poolers_pass_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut message = vec![0; stream.read_u32().await.unwrap() as usize - 4];
        stream.read_exact(&mut message).await.unwrap();
        String::from_utf8_lossy(&message).replace('\0', " ")
    });
    let url = format!("postgres://ann@127.0.0.1:{port}/hub?sslmode=disable");
    let _ = open(&url).await;
    let wished = server.await.unwrap();
    assert!(wished.contains("application_name bellpull"), "{wished}");
    assert!(!wished.contains("options") && !wished.contains("extra_float_digits"), "{wished}");
}

/// The settings of the sessions, whatever the database's own are.
#[tokio::test]
async fn the_database_takes_nothing_from_the_sessions_settings() {
    need_server!();
    let database = Database::create().await;
    let own = [("synchronous_commit", "off"), ("default_transaction_isolation", "'serializable'")];
    for (name, value) in own {
        let sql = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {name} = {value}', \
                           current_database()); END $$"
        )
        .replace("'serializable'", "''serializable''");
        database.execute(&sql).await;
    }
    database
        .execute(
            "CREATE TABLE noted (setting TEXT);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO noted VALUES (current_setting('synchronous_commit') || ' ' ||
             current_setting('transaction_isolation')); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON settings EXECUTE FUNCTION note();",
        )
        .await;
    let store = open(&database.url()).await.unwrap();
    store.set_setting("a", "b").await.unwrap();
    let mut connection = database.connect().await;
    let sql = "SELECT setting FROM noted GROUP BY 1 ORDER BY 1";
    let noted: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
    assert_eq!(noted, ["on read committed"]);
    store.close().await;
}

/// A server that starts later than the hub.
#[tokio::test]
async fn a_server_that_does_not_accept_connections_yet_is_waited_for() {
    need_server!();
    let database = Database::create().await;
    let address: PgConnectOptions = database.url().parse().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let late = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        while let Ok((mut client, _)) = listener.accept().await {
            let to = (address.get_host().to_owned(), address.get_port());
            let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let url = database.url().parse::<PgConnectOptions>().unwrap();
    let url = url.host("127.0.0.1").port(port).to_url_lossy().to_string();
    assert!(open(&url).await.is_err(), "commands do not wait");
    let wait = std::time::Duration::from_secs(20);
    let store = PostgresStore::open(&url, StoreOptions { wait, ..StoreOptions::default() }).await;
    store.unwrap().close().await;
    late.abort();
}
