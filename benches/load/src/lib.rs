//! The load tester: how a hub, or any WebSocket server, behaves under load, and what it costs.
//!
//! A run is a [`plan::Plan`]: one workload against each server in turn, at each size, so that
//! compared figures come from one run on one machine. [`target`] opens a server ([`started`] has
//! those that are started for it: a hub on a temporary database, or a cluster), [`workers`] has the
//! worker processes whose sockets listen ([`worker`]), `workload` is the load, [`report`] the
//! output. [`cli`] has the options of `bellpull load`. [`cluster`] runs several nodes on one
//! machine, for other commands too.
//!
//! Three rules. Every latency is measured by one clock, from the time when the request was *due*.
//! Every expected frame is counted: one that is missing, duplicated or out of order makes the run
//! fail. And the tool prints its own CPU time beside the server's: it must not be the bottleneck.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a client without a runtime: its threads block, its tokens go by the machine's clock, \
              and its queues last for one run"
)]

pub mod bare;
pub mod chaos;
pub mod check;
pub mod children;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod disk;
pub mod frame;
pub mod mark;
mod open_files;
pub mod pipe;
pub mod plan;
pub mod plot;
pub mod readings;
pub mod report;
pub mod rest;
pub mod roles;
pub mod run;
pub mod spawn;
pub mod started;
pub mod target;
pub mod times;
pub mod tokens;
pub mod worker;
pub mod workers;
pub mod workload;

/// Why a load test could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Wrong usage; the line begins with the option.
    #[error("{0}")]
    Wrong(String),
    /// The run failed.
    #[error("{0}")]
    Failed(String),
}

impl LoadError {
    /// Wrong usage.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }

    /// The run failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}
