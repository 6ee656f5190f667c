//! The other nodes, on a Redis that all of them share.
//!
//! Every node subscribes to one topic, `bellpull:EPOCH`, and publishes each of its messages there
//! once, with all recipients. The epoch identifies the store, so clusters on different databases
//! can share one Redis and do not receive each other's messages. A copy of a database has its epoch
//! too; its nodes' messages, and all that are no node's, are refused by their [`seal`].
//!
//! Why not a topic for each user: 100,000 online users would be 100,000 subscriptions a node, all
//! of them again after a reconnect, and an announcement to 10,000 users 10,000 commands. With one
//! topic it is one command, and each node looks up the recipients in its own map. The price is that
//! each node receives everything: with N nodes that publish M messages a second each, a node reads
//! N × M. At 10 nodes with 1,000 transitions of about 1 KiB a second over all of them, a node
//! receives 1 MiB a second, and Redis sends ten. That is the bound of this design: about ten nodes.
//! More topics would not change it while every node needs all of them.
//!
//! Redis is not asked whether it is well: each node publishes a beat every half second and listens
//! for it. One that arrives shows that the whole path works; see [`health`].
//!
//! Limits that all nodes share are counted on the same connection; see [`limits`].

mod connection;
mod contents;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod health;
mod limits;
mod message;
mod probe;
mod redis;
mod seal;
mod strangers;
mod streams;
#[cfg(test)]
mod tests;

pub use self::connection::NoBroker;
pub use self::probe::listen;
pub use self::redis::RedisBroker;
pub use seal::Cluster;
