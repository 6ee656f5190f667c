//! Client formats: texts to commands, events to texts. Pure.
//!
//! A dialect is a folder with a type that implements [`format::Format`], and one entry in the
//! table below: the enum, its names, the AsyncAPI document and the settings' choices come from it.
//! A notification is encoded in two parts: a *stem* that all its recipients share (made once per
//! message and dialect) and a short *tail* that is each recipient's own. [`envelope`] and
//! [`fields`] read what clients send, [`frames`] writes what most dialects have in common,
//! [`streams`] the frames about projects.

#[macro_use]
mod dialect;

mod academy;
pub mod asyncapi;
mod bare;
mod begin;
mod closing;
mod envelope;
mod fields;
mod format;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod inbox;
mod incident;
mod project;
mod streams;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod v1;

use bellpull_port::outlet::Outgoing;
use bellpull_port::session::Heard;
use jiff::Timestamp;

pub use begin::{BadWish, Wish};
pub use closing::code_and_reason;
pub use envelope::BadFrame;

dialects! {
    /// Ticket alerts: flat frames with a `notification_type`.
    Incident => incident::Incident,
    /// Notifications about tickets, named by ticket and event.
    Project => project::Project,
    /// An inbox that is read, marked and written to over the socket.
    Inbox => inbox::Inbox,
    /// Notifications with a kind, and their later states.
    Academy => academy::Academy,
    /// The hub's own: everything on one socket, resumable and acknowledged.
    BellpullV1 => v1::BellpullV1,
}

/// The purpose of a socket, which decides what its client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Its user's notifications; in `bellpull.v1` everything.
    Notifications,
    /// A project's tickets.
    Tickets,
    /// The users who are present on a project.
    Presence,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Notifications, Self::Tickets, Self::Presence];
}

/// Collects the texts for a client, in the form of their transport.
pub trait Texts {
    /// Appends a text, which `write` appends to the buffer.
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>));
}
