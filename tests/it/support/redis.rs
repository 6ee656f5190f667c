//! Redis servers for tests: the one that `TEST_REDIS` names, and private ones that a test may end.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::skip::skipped;

/// The variable with the URL of a server that tests share.
const SERVER: &str = "TEST_REDIS";

/// The shared server's URL; says that the test is skipped if there is none.
pub fn server() -> Option<String> {
    let url = std::env::var(SERVER).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        skipped("TEST_REDIS names no Redis");
    }
    url
}

/// A server of the test's own, ended with this.
#[derive(Debug)]
pub struct Private {
    port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Private {
    /// Starts one; says that the test is skipped if there is no program.
    pub async fn start(arguments: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { port, arguments, process: None };
        if Command::new("redis-server").arg("--version").output().is_err() {
            skipped("there is no redis-server");
            return None;
        }
        server.restart().await;
        Some(server)
    }

    /// Starts it again, empty, on the same port.
    pub async fn restart(&mut self) {
        self.kill();
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not listen");
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.kill();
    }
}
