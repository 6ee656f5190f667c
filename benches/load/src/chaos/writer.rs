//! What all writers do: they send a request, and repeat it until its outcome is known.

use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::ledger::{Asked, Ledger};
use super::people::{People, Phase, Shared};
use super::request::{Outcome, Request, shown};

/// How long a writer waits for an answer: less than a frozen node sleeps, so that a repeated
/// request meets its first execution.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request is repeated: longer than anything is away.
const REPEAT: Duration = Duration::from_secs(90);
/// The wait before a repeat, in milliseconds.
const AGAIN_MS: std::ops::Range<u64> = 50..400;
/// The wait between two writes, in milliseconds.
const THINK_MS: std::ops::Range<u64> = 50..500;
/// Surprises that are kept.
const SURPRISES_MAX: usize = 20;

/// A writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) number: usize,
    pub(super) people: People,
    pub(super) shared: Shared,
    pub(super) rng: Rng,
    pub(super) ledger: Ledger,
    /// Makes titles and keys unlike all others.
    pub(super) count: u64,
}

impl Writer {
    /// Whether it goes on.
    pub(super) fn goes_on(&self) -> bool {
        self.shared.phase() < Phase::Quiet
    }

    /// A text unlike all others.
    pub(super) fn unique(&mut self) -> String {
        self.count += 1;
        format!("w{}-{}", self.number, self.count)
    }

    /// Waits as a person does, unless there is a rush.
    pub(super) async fn think(&mut self) {
        let pause = Duration::from_millis(self.rng.u64(THINK_MS));
        if !self.shared.is_rush() {
            sleep(pause).await;
        }
    }

    /// Notes an answer that is not expected.
    pub(super) fn surprise(&mut self, what: &str, status: u16, body: &Value) {
        if self.ledger.surprises.len() < SURPRISES_MAX {
            self.ledger.surprises.push(format!("{what}: {}", shown(status, body)));
        }
    }

    /// Sends a request once, to any node.
    pub(super) async fn once(
        &mut self,
        request: Request<'_>,
        asked: &mut Asked,
    ) -> Option<(u16, Value)> {
        // Behind a line a node that is away does not refuse the connection, and less is known of
        // such a request: few take that way.
        let node = match self.rng.u8(..6) {
            0 => self.shared.line(&mut self.rng),
            _ => self.shared.node(&mut self.rng),
        };
        let node = node.ok()?;
        match request.send(node, PATIENCE).await {
            Outcome::Answered(status, body) => {
                let is_success = (200..300).contains(&status);
                asked.attempts += u64::from(is_success);
                if is_success {
                    asked.acknowledge(self.shared.operations());
                }
                Some((status, body))
            }
            Outcome::NotDone(_) => None,
            Outcome::Unknown(_) => {
                asked.attempts += 1;
                self.ledger.unanswered += 1;
                None
            }
        }
    }

    /// Sends a request until it is answered, each time to any node.
    pub(super) async fn until_answered(
        &mut self,
        request: Request<'_>,
        asked: &mut Asked,
    ) -> Option<(u16, Value)> {
        let deadline = Instant::now() + REPEAT;
        loop {
            let answer = self.once(request, asked).await;
            if answer.is_some() || Instant::now() > deadline {
                return answer;
            }
            sleep(Duration::from_millis(self.rng.u64(AGAIN_MS))).await;
        }
    }
}
