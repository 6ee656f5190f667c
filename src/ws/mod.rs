//! The socket edge.
