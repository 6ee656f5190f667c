//! The delivery runtime: the low-priority thread on which channels and their adapters run.
//!
//! A provider that accepts everything at once would let its channel fill every worker of the hub's
//! runtime with attempts, and users' actions would queue behind them. On a thread of their own,
//! deliveries queue behind each other only, and the kernel schedules the thread below the others:
//! it gets an idle core, and about a third of a busy one.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use bellpull_system::thread_priority::lower_priority;

/// The thread. It ends when this is dropped, and the tasks on it are dropped there.
#[derive(Debug)]
pub struct DeliveryRuntime {
    runtime: Handle,
    _stop: oneshot::Sender<()>,
}

impl DeliveryRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            lower_priority();
            let _ = runtime.block_on(stopped); // nothing is ever sent: it is dropped
        };
        std::thread::Builder::new().name("deliveries".to_owned()).spawn(run)?;
        Ok(Self { runtime: handle, _stop: stop })
    }

    /// Where to spawn tasks that should run on it.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
