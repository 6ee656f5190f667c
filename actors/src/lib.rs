//! Bellpull's domain and its actors.
//!
//! In reading order: [`domain`] (types and rules, pure), [`port`] (what the outside must provide),
//! [`session`] and [`directory`] (how the edges reach the actors), [`hub`] (the root of the tree),
//! [`observe`] (what operators see).

pub mod directory;
pub mod domain;
pub mod hub;
pub mod observe;
pub mod port;
pub mod session;
