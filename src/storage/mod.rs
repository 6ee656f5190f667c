//! Rows and SQL: the stores behind the ports of `bellpull_actors`.
//!
//! [`open()`] returns the store that a URL names, as the port that unites all of a store's ports.
//! [`sqlite`] is the store of a single process: a file beside it, nothing to install.

mod open;
pub mod sqlite;

pub use open::{MigrateError, OpenError, migrate, open};
pub use sqlite::StoreOptions;
