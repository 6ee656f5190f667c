//! Rows and SQL: the stores behind the ports of `bellpull_actors`.
//!
//! [`sqlite`] is the store of a single process: a file beside it, nothing to install.

pub mod sqlite;

pub use sqlite::{OpenError, SqliteStore, StoreOptions};
