//! A real Postfix whose policy service takes 20 s to say yes: one mail, one copy. By hand, as root,
//! where Postfix is installed: `cargo test --test it postfix -- --ignored`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::Colleague;
use crate::support::process::{Process, folder};

/// How long the policy service takes: longer than most clients' patience.
const PONDERS: Duration = Duration::from_secs(20);

/// In how long a second copy would have come.
const WATCHED: Duration = Duration::from_secs(90);

/// A Postfix of the test's own, in a folder below /tmp, as the log must be.
struct Postfix {
    root: tempfile::TempDir,
    port: u16,
}

impl Postfix {
    fn start(policy: u16) -> Self {
        let root = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = root.path().display().to_string();
        for folder in ["conf", "spool", "data", "mail"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {at}/spool\ndata_directory = {at}/data\n\
             maillog_file = {at}/mail/log\nmaillog_file_prefixes = /tmp\n\
             inet_interfaces = 127.0.0.1\nmyhostname = mail.example.com\nmydestination =\n\
             mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             smtpd_end_of_data_restrictions = check_policy_service inet:127.0.0.1:{policy}\n\
             smtpd_policy_service_timeout = 100s\nvirtual_mailbox_domains = example.com\n\
             virtual_mailbox_base = {at}/mail\nvirtual_mailbox_maps = static:box/\n\
             virtual_uid_maps = static:{}\nvirtual_gid_maps = static:{}\nvirtual_minimum_uid = 1\n",
            id("-u"),
            id("-g"),
        );
        fs::write(root.path().join("conf/main.cf"), main).unwrap();
        let mut services = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
        services += "qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n";
        services += "cleanup unix n - n - 0 cleanup\nvirtual unix - n n - - virtual\n";
        services += "postlog unix-dgram n - n - 1 postlogd\n";
        for name in ["bounce", "defer", "trace"] {
            services += &format!("{name} unix - - n - 0 bounce\n");
        }
        for name in ["error", "anvil", "scache", "proxymap"] {
            services += &format!("{name} unix - - n - 1 {name}\n");
        }
        services += "showq unix n - n - - showq\nflush unix n - n - 0 flush\n";
        fs::write(root.path().join("conf/master.cf"), services).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        run(Command::new("chown")
            .arg("postfix")
            .args(["data", "mail"].map(|f| root.path().join(f))));
        let postfix = Self { root, port };
        run(&mut postfix.command("start"));
        postfix
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new("postfix");
        command.arg("-c").arg(self.root.path().join("conf")).arg(what);
        command.stderr(std::process::Stdio::null()); // which it would leave open
        command
    }

    /// The mails in its one mailbox.
    fn mails(&self) -> Vec<PathBuf> {
        files(&self.root.path().join("mail/box/new"))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.command("stop").status();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn id(of: &str) -> String {
    let output = Command::new("id").args([of, "postfix"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Says yes to everything, late.
async fn policy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((asked, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (from, mut to) = asked.into_split();
                let mut lines = BufReader::new(from).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.is_empty() {
                        tokio::time::sleep(PONDERS).await;
                        to.write_all(b"action=DUNNO\n\n").await.unwrap();
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and Postfix, and takes two minutes"]
async fn a_filter_of_twenty_seconds_makes_no_copies() {
    let postfix = Postfix::start(policy().await);
    let (_folder, database) = folder();
    let url = format!("smtp://127.0.0.1:{}", postfix.port);
    let settings = [
        ("BELLPULL_SMTP_URL", url.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_RETRY_BASE_MS", "1000"),
    ];
    let hub = Process::serve(&database, &settings);
    let ada = Colleague::join(&database, "ada", "admin", "");
    let body = json!({"recipients": [ada.id], "title": "Once", "message": "m",
        "channels": ["EMAIL"]});
    ada.post(hub.address, "/api/notifications/", body).await;
    tokio::time::sleep(WATCHED).await;
    assert_eq!(postfix.mails().len(), 1);
    let delivery = ada.newest(hub.address, "EMAIL").await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("SENT"), &json!(1)));
}
