//! Faults on nodes of its own, and a checker outside of all nodes.
//!
//! A [`schedule`](mod@schedule) of faults ([`fault`] has their kinds) with one seed for all random
//! choices happens to the `arena`: one node on SQLite, or several on a PostgreSQL and a Redis of
//! their own. Meanwhile each `client` listens as its `family` does, and reconnects; each `writer`
//! (of tickets' `lives`, of `notes`) keeps a `ledger` of what was acknowledged, and repeats what
//! was not answered. At the end `check` compares the ledger with the store, as read through REST
//! (`lists`) and from the database itself (`tables`), `view` compares what each client saw with it,
//! `deliveries` the calls of webhooks, and `presence` looks at each board.
//!
//! - *Lost* is what was acknowledged and is not stored, what is stored and a client never saw, and
//!   what a client saw and is not stored.
//! - *Doubled* is what was stored more often than it was done, and a number that one socket (or one
//!   client with a position) was sent twice.
//! - *Out of order* are numbers that decrease, and events or versions of a ticket in another order
//!   than its history.

pub mod arena;
mod campaign;
mod check;
pub mod cli;
mod client;
mod deliveries;
mod family;
pub mod fault;
pub mod finding;
mod ledger;
mod lists;
mod lives;
mod manner;
mod notes;
pub mod outcome;
mod people;
pub mod plan;
pub mod power;
mod presence;
mod request;
pub mod run;
pub mod schedule;
mod sent;
mod socket;
mod tables;
mod tally;
mod view;
mod writer;
