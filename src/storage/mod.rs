//! Rows and SQL.
