//! Bellpull: a notification hub for ticket work.
//!
//! In reading order: [`cli`] (one file a subcommand), [`config`], [`app`] (what is put together
//! from what), the edges [`http`] and [`ws`] with what both share in [`edge`] and their client
//! formats in [`wire`], accounts and tokens in [`auth`], rows and SQL in [`storage`], external
//! delivery in [`delivery`] (HTTP by [`tls`]), what operators need in [`telemetry`], and the load
//! tester in [`load`]. The actors and the rules are a crate of their own: `bellpull_actors`.

pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod config;
pub mod console;
pub mod delivery;
pub mod edge;
pub mod http;
pub mod load;
mod nice;
mod open_files;
pub mod sse;
pub mod storage;
pub mod telemetry;
pub mod tls;
pub mod wire;
pub mod ws;
