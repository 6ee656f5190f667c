//! The broker on a real Redis: two nodes' brokers in one process.

mod limits;
mod redis;
