//! Presence on a project: the state behind a presence stream.
//!
//! [`roster`] has its users and their activity; [`peers`] keeps the rosters of several nodes equal.

mod news;
mod peers;
mod roster;

pub use news::{Held, NodeKey, PresenceNews, PresenceReport};
pub use peers::{HEARTBEAT_EVERY, Heard, Peers};
pub use roster::{Roster, SessionNumber, TYPING_LASTS};
