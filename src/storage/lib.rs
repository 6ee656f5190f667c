//! The stores behind the ports of `bellpull_actors`: rows and SQL.
//!
//! [`open()`] opens the store that a URL names and returns it as the port that unites all store
//! ports. [`sqlite`] is the store of a single process: one file, nothing to install. [`postgres`]
//! is the store of one node or several. Both decode rows by [`rows`].

mod attempts;
mod backups;
mod checks;
mod commits;
mod contents;
mod delivery_rows;
mod engine;
mod error;
mod health;
mod joined;
mod leases;
mod narrow;
mod open;
mod options;
mod ports;
pub mod postgres;
mod provider_reports;
mod requests;
mod rows;
mod seen_tickets;
mod send_chunks;
pub mod sqlite;
mod supervised;
mod webhook_rows;

pub use backups::{BackupError, backup, restore};
pub use checks::{Identity, Looked, identity, look_at, own_below_apart};
pub use open::{MigrateError, OpenError, found, migrate, open};
pub use options::StoreOptions;
pub use sqlite::Found;
