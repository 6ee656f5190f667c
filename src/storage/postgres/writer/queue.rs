//! A writer's queue: everything that waits makes the next group.

use tokio::sync::{mpsc, oneshot};

use super::{Request, WriterMessage};

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

    /// Adds what has been queued meanwhile.
    pub(super) fn fill(&mut self, group: &mut Group) {
        while group.rows < GROUP_MAX
            && let Ok(message) = self.waiting.try_recv()
        {
            self.add(message, group);
        }
    }

    fn add(&mut self, message: WriterMessage, group: &mut Group) {
        match message {
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
