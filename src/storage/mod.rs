//! The stores behind the ports of `bellpull_actors`: rows and SQL.
//!
//! [`open()`] opens the store that a URL names and returns it as the port that unites all store
//! ports. [`sqlite`] is the store of a single process: one file, nothing to install.

mod open;
pub mod sqlite;

pub use open::{MigrateError, OpenError, migrate, open};
pub use sqlite::StoreOptions;
