//! A real SMTP server (`aiosmtpd`) that a test tells how to behave.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::PATIENCE;
use crate::clients::tools;
use crate::support::skip::skipped;

/// The server, in a process of its own that ends with the test.
pub(super) struct Sink {
    pub(super) port: u16,
    renderer: ChildStdin,
    lines: UnboundedReceiver<String>,
    /// What was taken while something else was waited for.
    kept: Vec<Mail>,
    _child: Child,
}

/// An e-mail as the server took it.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) text: String,
    /// Whether it was encrypted on its way.
    pub(super) is_encrypted: bool,
}

impl Mail {
    /// A header, unfolded; empty where there is none.
    pub(super) fn header(&self, name: &str) -> String {
        let head = self.text.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
        let found = head.lines().find_map(|line| {
            let (one, value) = line.split_once(": ")?;
            one.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_default()
    }
}

impl Sink {
    /// One that takes everything; `None`, told, where it is not installed.
    pub(super) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with encryption or a login, as its script has them.
    pub(super) async fn start_with(arguments: &[&str]) -> Option<Self> {
        let python = tools().join("python/bin/python");
        if !python.with_file_name("aiosmtpd").exists() {
            skipped("aiosmtpd is not installed (tests/run.sh does)");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/smtp_sink.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, mut lines) = unbounded_channel();
        // Read at once, or the server would wait for the test as soon as the pipe is full.
        tokio::spawn(async move {
            while let Ok(Some(line)) = stdout.next_line().await {
                let _ = sender.send(line);
            }
        });
        let first = timeout(PATIENCE, lines.recv()).await.expect("a port in time");
        let port = first.expect("a port").parse().unwrap();
        let renderer = child.stdin.take().unwrap();
        Some(Self { port, renderer, lines, kept: Vec::new(), _child: child })
    }

    /// The settings of a hub that sends here.
    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Behaves so from now on.
    pub(super) async fn be(&mut self, word: &str) {
        self.renderer.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        loop {
            match self.line().await {
                Ok(mail) => self.kept.push(mail),
                Err(told) => return assert_eq!(told, word),
            }
        }
    }

    /// The next e-mail.
    pub(super) async fn mail(&mut self) -> Mail {
        if !self.kept.is_empty() {
            return self.kept.remove(0);
        }
        self.line().await.expect("an e-mail")
    }

    /// So many e-mails, by their recipients.
    pub(super) async fn mails(&mut self, count: usize) -> Vec<Mail> {
        let mut mails = Vec::with_capacity(count);
        for _ in 0..count {
            mails.push(self.mail().await);
        }
        mails.sort_by(|a, b| a.to.cmp(&b.to));
        mails
    }

    /// All e-mails that it has taken until it is told this.
    pub(super) async fn rest(&mut self) -> Vec<Mail> {
        self.be("ok").await;
        std::mem::take(&mut self.kept)
    }

    /// An e-mail, or the word that it was told.
    async fn line(&mut self) -> Result<Mail, String> {
        let line = timeout(PATIENCE, self.lines.recv()).await.expect("a line in time");
        let line: Value = serde_json::from_str(&line.expect("a line")).unwrap();
        if let Some(word) = line["told"].as_str() {
            return Err(word.to_owned());
        }
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        let to = line["to"][0].as_str().unwrap().to_owned();
        let is_encrypted = line["encrypted"].as_bool().unwrap();
        Ok(Mail { from: text("from"), to, text: text("text"), is_encrypted })
    }
}
