//! Several nodes on one machine: their services, their processes, and a proxy before them.
//!
//! [`Services`] is a PostgreSQL and a Redis of one's own, [`Nodes`] are processes of `bellpull
//! serve` that share them, [`Proxy`] is the load balancer before the nodes. Each of them can be
//! stopped, killed and started again on its own port, and all end with their owner: their folders
//! are removed, and after a SIGKILL of this process the kernel terminates theirs.
//!
//! A [`WallClock`] shifts the time of day of processes while they run.
//!
//! What is started is shown in errors by the last lines of its log.

mod nodes;
mod ports;
mod postgres;
mod process;
mod programs;
mod proxy;
mod redis;
mod services;
mod standby;
#[cfg(test)]
mod tests;
mod wall_clock;

pub use nodes::{Node, NodeOptions, Nodes};
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use redis::Redis;
pub use services::{Services, ServicesOptions};
pub use wall_clock::{Shift, WallClock};
