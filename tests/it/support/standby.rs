//! An asynchronous standby of a PostgreSQL of the test's own.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};
use tempfile::TempDir;

use super::PATIENCE;

/// A standby; it ends when this is dropped.
pub struct Standby {
    process: Child,
    address: PgConnectOptions,
    _folder: TempDir,
}

impl Standby {
    /// A copy of the server there, which follows it by that address.
    pub async fn of(primary: &PgConnectOptions) -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut url = primary.to_url_lossy();
        url.set_query(None); // sqlx' own parameters
        let copied = Command::new(programs.join("pg_basebackup"))
            .args(["--dbname", url.as_str(), "--write-recovery-conf", "--checkpoint=fast"])
            .arg("--pgdata")
            .arg(&data)
            .status();
        assert!(copied.unwrap().success());
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&data).current_dir(folder.path());
        for setting in
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=400"]
        {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("port={port}")]).stdout(Stdio::null()).stderr(Stdio::null());
        if rustix::process::geteuid().is_root() {
            give_away(folder.path());
            let (uid, gid) = account();
            command.uid(uid).gid(gid);
        }
        let process = command.spawn().unwrap();
        let address = primary.clone().host("127.0.0.1").port(port);
        let standby = Self { process, address, _folder: folder };
        drop(standby.connect().await);
        standby
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.get_port()
    }

    /// A connection, once it answers.
    pub async fn connect(&self) -> PgConnection {
        let connect = async {
            loop {
                match self.address.connect().await {
                    Ok(connection) => return connection,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, connect).await.expect("the standby answers")
    }

    /// Waits until it has received what the primary has written.
    pub async fn catch_up(&self, primary: &mut PgConnection) {
        let sql = "SELECT pg_current_wal_lsn()::text";
        let written: String = sqlx::query_scalar(sql).fetch_one(&mut *primary).await.unwrap();
        let mut own = self.connect().await;
        let sql = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
        while !sqlx::query_scalar::<_, bool>(sql).bind(&written).fetch_one(&mut own).await.unwrap()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes it a primary.
    pub async fn promote(&self) {
        self.connect().await.execute("SELECT pg_promote()").await.unwrap();
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.process.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let _ = self.process.wait();
    }
}

/// The newest PostgreSQL's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let versions = versions.map(|version| version.unwrap().path().join("bin"));
    versions.max().unwrap()
}

/// PostgreSQL refuses to run as root.
fn account() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).unwrap();
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

fn give_away(folder: &std::path::Path) {
    let changed = Command::new("chown").arg("-R").arg("postgres:").arg(folder).status();
    assert!(changed.unwrap().success());
}
