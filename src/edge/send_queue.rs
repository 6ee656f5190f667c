//! What the kernel still holds of a connection that an HTTP server owns.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stream::{Stream, is_acknowledged};

/// The send queue of a connection, for those who write to it through the HTTP server.
#[derive(Debug, Clone)]
pub struct SendQueue(Arc<Mutex<Queue>>);

#[derive(Debug)]
enum Queue {
    Open(RawFd),
    /// The connection has ended, with or without something that was not acknowledged.
    Ended(bool),
}

/// Held for as long as the connection is open.
#[derive(Debug)]
pub(super) struct Watched(SendQueue);

impl SendQueue {
    /// The second value must be dropped before the connection is.
    pub(super) fn of(stream: &Stream) -> (Self, Watched) {
        let queue = Self(Arc::new(Mutex::new(Queue::Open(stream.number()))));
        (queue.clone(), Watched(queue))
    }

    /// Whether the other side's kernel has acknowledged everything that was written.
    pub fn is_acknowledged(&self) -> bool {
        self.lock().is_acknowledged()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_acknowledged(&self) -> bool {
        match self {
            Self::Ended(was_acknowledged) => *was_acknowledged,
            Self::Open(number) => {
                // SAFETY: it is open. What closes it drops the `Watched` before, which waits for
                // the lock that is held here.
                #[expect(unsafe_code, reason = "the HTTP server owns the connection")]
                let connection = unsafe { BorrowedFd::borrow_raw(*number) };
                is_acknowledged(connection)
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        *queue = Queue::Ended(queue.is_acknowledged());
    }
}
