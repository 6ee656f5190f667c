//! The thread on which channels run, with everything that they send.
//!
//! A provider that takes everything at once would have a channel fill every worker of the hub's
//! runtime with attempts, and whoever acts on a ticket would stand in line behind them. Here they
//! stand in a line of their own, and the kernel gives a core to whoever waits at a screen first: a
//! thread that is nice has what nobody else wants, and a part of it (a third) where all is wanted.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::nice::be_nice;

/// The thread. It ends with this, and what runs on it is dropped there.
#[derive(Debug)]
pub struct Hands {
    runtime: Handle,
    _stop: oneshot::Sender<()>,
}

impl Hands {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            be_nice();
            let _ = runtime.block_on(stopped); // nothing is ever sent: it is dropped
        };
        std::thread::Builder::new().name("deliveries".to_owned()).spawn(run)?;
        Ok(Self { runtime: handle, _stop: stop })
    }

    /// Where to spawn what is to run on it.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
