//! The results that a user actor's own tasks cast back to it.

use jiff::Timestamp;

use super::asking::Outcome;
use super::backlog::{Loaded, Reading, Texts};
use super::confirm::Compared;
use bellpull_domain::ids::Seq;
use bellpull_domain::inbox::Reached;
use bellpull_port::StoreError;

/// The results of the actor's own tasks.
#[derive(Debug)]
pub struct OwnMessage(pub(super) Box<Own>);

#[derive(Debug)]
pub(super) enum Own {
    /// A session's backlog.
    Loaded { session: u32, loaded: Result<Loaded, StoreError> },
    /// Texts of a session's backlog.
    Texts { session: u32, texts: Result<Texts, StoreError> },
    /// The time for missing numbers to arrive is over.
    GapDue,
    /// The result of reading a gap.
    Filled {
        /// The highest number that was known when the store was asked.
        heard: Seq,
        read: Result<Reading, StoreError>,
    },
    /// The inbox was compared with the store.
    Compared(Compared),
    /// The positions are on the disk.
    Saved(Reached),
    /// It could not be saved.
    NotSaved,
    /// A session's token ends now, or its warning is due, if it is still that one.
    TokenDue { session: u32, expires_at: Timestamp, is_end: bool },
    /// The result of a session's request.
    Done { session: u32, outcome: Box<Outcome> },
}
