//! The load tester: what a hub, or any WebSocket server, does under load, and what it costs.
//!
//! A run is a [`plan::Plan`]: one workload against each server in turn, at each size, so that what
//! is compared was measured in one run on one machine. [`target`] opens a server (or starts one of
//! our own on a database of its own), [`crew`] holds the processes whose sockets listen
//! ([`worker`]), `workload` is what is done to them, [`report`] what people and machines are told.
//! [`cli`] has the options of `bellpull load`.
//!
//! Three rules. What is measured is dated by one clock, from the time when it was *to be* sent. All
//! that is owed is counted: a frame that is missing, doubled or out of order makes the run fail.
//! And the tool tells its own CPU time beside the server's: it must not be what is measured.

pub mod bare;
pub mod check;
pub mod children;
pub mod cli;
pub mod clock;
pub mod crew;
pub mod frame;
pub mod mark;
mod open_files;
pub mod pipe;
pub mod plan;
pub mod plot;
pub mod readings;
pub mod report;
pub mod rest;
pub mod run;
pub mod spawn;
pub mod target;
pub mod times;
pub mod tokens;
pub mod worker;
pub mod workload;

/// Why a load test could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Wrong usage; the line begins with the option at fault.
    #[error("{0}")]
    Wrong(String),
    /// It failed at work.
    #[error("{0}")]
    Failed(String),
}

impl LoadError {
    /// Wrong usage.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }

    /// Failed at work.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}
