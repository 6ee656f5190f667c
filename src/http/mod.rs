//! The REST edge.

pub mod listen;
