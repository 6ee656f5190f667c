//! PgBouncer between the hub and PostgreSQL: session mode works, transaction mode is named.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use reqwest::Url;

use super::proxies::free_port;
use super::{Caller, PATIENCE};
use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder};
use crate::support::skip::skipped;

/// A pooler in a process of its own.
struct Pooler {
    child: Child,
    port: u16,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pooler {
    /// In this mode, before that server; `None`, told, where it is not installed.
    fn start(mode: &str, before: &Url, folder: &Path) -> Option<Self> {
        let port = free_port();
        let (host, server_port) = (before.host_str().unwrap(), before.port().unwrap_or(5432));
        let settings = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\n\
             auth_file = {folder}/users\npool_mode = {mode}\nunix_socket_dir =\n\
             default_pool_size = 20\n",
            folder = folder.display()
        );
        fs::write(folder.join("users"), format!("\"{}\" \"\"\n", before.username())).unwrap();
        let file = folder.join(format!("{mode}.ini"));
        fs::write(&file, settings).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "daemon"]);
        }
        let quiet = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = quiet.spawn() else {
            skipped("pgbouncer is not installed (tests/run.sh does)");
            return None;
        };
        let pooler = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "pgbouncer does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(pooler)
    }

    fn url(&self, of: &Url) -> String {
        let mut url = of.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_keeps_sessions_works_and_one_that_does_not_is_named() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::blank().await;
    let direct = Url::parse(&database.url()).unwrap();
    let (folder, file) = folder();
    // Another user reads its settings.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let Some(session) = Pooler::start("session", &direct, folder.path()) else { return };
    let Some(spread) = Pooler::start("transaction", &direct, folder.path()) else { return };
    let run = |pooler: &Pooler, arguments: &[&str]| {
        let url = pooler.url(&direct);
        let output = command(&file).env("BELLPULL_DATABASE_URL", url).args(arguments).output();
        let output = output.unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), told)
    };
    for _ in 0..3 {
        for arguments in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"], &["migrate"]] {
            let (code, told) = run(&spread, arguments);
            assert!(code != Some(0) && told.contains("use session mode"), "{arguments:?}: {told}");
            assert!(!told.contains("prepared statement"), "{arguments:?}: {told}");
        }
    }
    let (code, told) = run(&session, &["check"]);
    assert_eq!(code, Some(0), "{told}");
    let url = session.url(&direct);
    let settings = [("BELLPULL_DATABASE_URL", url.as_str())];
    let hub = Process::serve(&file, &settings);
    let ada = Caller::join_with((&file, &settings), hub.address, "ada", "client");
    ada.raise("One").await;
    assert!(hub.terminate().success());
}
