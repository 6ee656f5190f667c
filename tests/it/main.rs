//! The whole system, from outside: real server, real sockets, real database files.
#![allow(
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what helps a test fails as a test does, but no lint takes it for one; small numbers"
)]

mod broker;
mod browser;
mod clients;
mod cluster;
mod delivery;
mod failure;
mod packages;
mod process;
mod rest;
mod schema;
mod store;
mod support;
mod ws;
