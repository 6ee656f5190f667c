//! A writer's queue: everything that waits makes the next group.

use std::time::Duration;

use bellpull_port::{STORE_MAX, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::{Request, WriterMessage};

/// How long after its first request was queued a group is given up. Its caller still waits then,
/// with a second for the commit and the answer: what is announced is not answered as a failure.
pub(super) const WRITTEN_WITHIN: Duration = STORE_MAX.saturating_sub(Duration::from_secs(1));
/// Rows of one transaction, as far as requests say how many they write. More would gain nothing,
/// and keep the first caller waiting.
const GROUP_MAX: usize = 512;

/// The requests of one transaction.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) requests: Vec<Request>,
    rows: usize,
}

/// Queued requests.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Receiver<WriterMessage>,
    /// Callers that wait for the end.
    closing: Vec<oneshot::Sender<()>>,
}

impl Queue {
    pub(super) fn new(waiting: mpsc::Receiver<WriterMessage>) -> Self {
        Self { waiting, closing: Vec::new() }
    }

    /// The next group: everything queued, without waiting for more than one. `None` once it is
    /// closed and everything is written.
    pub(super) async fn next(&mut self) -> Option<Group> {
        loop {
            let first = self.waiting.recv().await?;
            let mut group = Group::default();
            self.add(first, &mut group);
            self.fill(&mut group);
            if !group.requests.is_empty() {
                return Some(group);
            }
        }
    }

    /// Adds what has been queued meanwhile, but not what has waited for so long that its caller is
    /// about to go.
    pub(super) fn fill(&mut self, group: &mut Group) {
        while group.rows < GROUP_MAX
            && let Ok(message) = self.waiting.try_recv()
        {
            self.add(message, group);
        }
    }

    fn add(&mut self, message: WriterMessage, group: &mut Group) {
        match message {
            WriterMessage::Request(request) if request.queued.elapsed() >= WRITTEN_WITHIN => {
                let text = "too many writes wait".to_owned();
                let _ = request.reply.send(Err(StoreError::Unavailable(text)));
            }
            WriterMessage::Request(request) => {
                group.rows = group.rows.saturating_add(request.write.rows());
                group.requests.push(request);
            }
            WriterMessage::Close(reply) => {
                self.waiting.close();
                self.closing.push(reply);
            }
        }
    }

    /// Callers that wait for the end.
    pub(super) fn into_closing(self) -> Vec<oneshot::Sender<()>> {
        self.closing
    }
}
