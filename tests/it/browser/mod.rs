//! Real front ends in a real browser: headless Chromium.

mod account;
mod client;
mod console;
mod debugger;
mod line;
mod page;
mod waits;

use std::process::{Child, Command, Stdio};

use crate::support::skip;

/// A browser on one page, ended with the test.
pub struct Browser {
    process: Child,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a page; `None` (after saying so) where there is no browser and one may be missing.
    pub fn open(url: &str) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let started = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-port=0", url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => Some(Self { process, profile }),
            Err(error) => {
                skip::skipped(&format!("chromium cannot be started ({error})"));
                None
            }
        }
    }
}

impl Browser {
    /// The port on which its debugger listens, once it does.
    fn debugger_port(&self) -> Option<u16> {
        let file = self.profile.path().join("DevToolsActivePort");
        std::fs::read_to_string(file).ok()?.lines().next()?.parse().ok()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
