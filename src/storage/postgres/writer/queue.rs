//! A writer's queue: everything that waits makes the next group.

use tokio::sync::{mpsc, oneshot};

use super::{Request, WriterMessage};

/// Rows of one transaction, as far as requests say how many they write. More would gain nothing,
/// and keep the first caller waiting.
const GROUP_MAX: usize = 512;

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
    pub(super) async fn next(&mut self) -> Option<Vec<Request>> {
        loop {
            let mut next = Some(self.waiting.recv().await?);
            let (mut group, mut rows) = (Vec::new(), 0_usize);
            while let Some(message) = next {
                match message {
                    WriterMessage::Request(request) => {
                        rows = rows.saturating_add(request.write.rows());
                        group.push(request);
                    }
                    WriterMessage::Close(reply) => {
                        self.waiting.close();
                        self.closing.push(reply);
                    }
                }
                next = (rows < GROUP_MAX).then(|| self.waiting.try_recv().ok()).flatten();
            }
            if !group.is_empty() {
                return Some(group);
            }
        }
    }

    /// Callers that wait for the end.
    pub(super) fn into_closing(self) -> Vec<oneshot::Sender<()>> {
        self.closing
    }
}
