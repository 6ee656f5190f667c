//! Bellpull.
