//! Bellpull: a real-time notification server for tickets.
//!
//! In reading order: [`cli`] (one file per subcommand), [`config`], [`app`] (the composition root),
//! the edges [`http`] and [`ws`] with what both share in [`edge`] and the client formats in
//! [`wire`], accounts and tokens in [`auth`], rows and SQL in [`storage`], external delivery in
//! [`delivery`] (HTTP by [`tls`]), the other nodes in [`nodes`] and the messages to them in
//! [`broker`], logs and metrics in [`telemetry`], the last hour of them in [`signals`], systemd in
//! `service`, files that change while the hub runs in `followed_file`. The rules
//! and the actors are crates of their own, `bellpull_domain` and `bellpull_actors`, and so is the
//! load tester, `bellpull_load`.

pub mod app;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod console;
pub mod delivery;
pub mod edge;
mod followed_file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod nodes;
mod open_files;
mod service;
pub mod signals;
pub mod sse;
pub mod storage;
pub mod telemetry;
mod thread_priority;
pub mod tls;
pub mod wire;
pub mod ws;
