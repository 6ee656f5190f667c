//! The whole system, from outside: real server, real sockets, real database files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helps a test fails as a test does, but no lint takes it for one"
)]

mod browser;
mod failure;
mod rest;
mod store;
mod support;
mod ws;
