//! Bellpull: a real-time notification server for tickets.
//!
//! This crate puts the others together: [`cli`] (one file per subcommand), [`app`] (the composition
//! root), [`console`] (the served pages), [`client`] (the served JavaScript module). In reading
//! order, below: [`config`], the client formats in [`wire`], the edges [`http`] and [`ws`] with what
//! both share in [`edge`], accounts and tokens in [`auth`], rows and SQL in [`storage`], external
//! delivery in [`delivery`] (HTTP by [`tls`]), the other nodes in [`nodes`] and the messages to
//! them in [`broker`], logs, metrics and signals in [`telemetry`]. The rules are in
//! `bellpull_domain`, the actors in `bellpull_actors`, what both need from outside in
//! `bellpull_port`, the load tester in `bellpull_load`.

pub mod app;
pub mod cli;
pub mod client;
pub mod console;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use bellpull_auth as auth;
pub use bellpull_broker as broker;
pub use bellpull_config as config;
pub use bellpull_delivery as delivery;
pub use bellpull_edge as edge;
pub use bellpull_http as http;
pub use bellpull_nodes as nodes;
pub use bellpull_storage as storage;
pub use bellpull_telemetry as telemetry;
pub use bellpull_tls as tls;
pub use bellpull_wire as wire;
pub use bellpull_ws as ws;
