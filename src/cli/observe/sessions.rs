//! A user's sessions, as the user's actor shows them, and the rows of their table.

use serde::Deserialize;

use crate::cli::tree::Actor;
use crate::cli::tree::actor::{age, plain};

/// Above the rows.
pub(super) const HEADING: &str =
    "   id by     dialect     phase     position silent  buffer address";

/// An open session.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Session {
    /// Its number in the user's actor.
    pub(super) id: u32,
    /// `socket` or `stream`.
    by: String,
    dialect: String,
    /// The client's address, also behind a proxy; a hub of an earlier version shows none.
    address: Option<String>,
    /// The other side of the connection.
    peer: Option<String>,
    phase: String,
    seq: u64,
    silent_s: u64,
    waiting_bytes: u64,
}

/// The sessions of a user's actor; none of another actor.
pub(super) fn sessions(actor: &Actor) -> Vec<Session> {
    if !actor.path.starts_with("user/") {
        return Vec::new();
    }
    Vec::deserialize(&actor.observed["sessions"]).unwrap_or_default()
}

impl Session {
    /// Where its client is, as far as it is known.
    pub(super) fn address(&self) -> Option<&str> {
        match (self.address.as_deref(), self.peer.as_deref()) {
            // The peer is the client: it has a port besides.
            (Some(address), Some(peer)) if peer.starts_with(address) => Some(peer),
            (Some(address), _) => Some(address),
            (None, peer) => peer,
        }
    }

    /// The address is last: an IPv6 address may need more than the 21 characters of 80 that are
    /// left for it; the question has it in full.
    pub(super) fn row(&self) -> String {
        format!(
            " {:4} {:6} {:11} {:9} {:8} {:>6} {:>7} {}",
            self.id,
            plain(&self.by),
            plain(&self.dialect),
            plain(&self.phase),
            self.seq,
            age(self.silent_s).split(' ').next().unwrap_or_default(),
            size(self.waiting_bytes),
            plain(self.address().unwrap_or("-")),
        )
    }
}

/// A number of bytes in at most seven characters.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes}B"),
        10_000..10_000_000 => format!("{}kB", bytes / 1_000),
        _ => format!("{}MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_its_columns_below_the_heading() {
        let observed = json!({"sessions": [
            {"id": 12, "by": "stream", "dialect": "bellpull.v1", "peer": "127.0.0.1:50000",
             "address": "127.0.0.1",
             "phase": "replaying", "seq": 1_234_567, "login": null, "silent_s": 65,
             "waiting_bytes": 12_345},
            {"id": 13, "peer": null},
            {"id": 14, "peer": "127.0.0.1:50001", "address": "203.0.113.7"}]});
        let actor = Actor { path: "user/1".to_owned(), observed, ..Actor::default() };
        let [first, second, proxied] = sessions(&actor).try_into().unwrap();
        let row = first.row();
        assert_eq!(
            row,
            "   12 stream bellpull.v1 replaying  1234567     1m    12kB 127.0.0.1:50000"
        );
        for (name, value) in [("by", "stream"), ("dialect", "bell"), ("address", "127.")] {
            assert_eq!(HEADING.find(name), row.find(value), "{name}");
        }
        for (name, value) in [("id", "12"), ("position", "567"), ("silent", "1m"), ("buffer", "kB")]
        {
            let end = |text: &str, part: &str| text.find(part).map(|at| at + part.len());
            assert_eq!(end(HEADING, name), end(&row, value), "{name}");
        }
        assert!(second.row().ends_with("0B -"), "{}", second.row());
        assert!(proxied.row().ends_with("0B 203.0.113.7"), "{}", proxied.row());
    }

    #[test]
    fn what_is_no_user_or_does_not_answer_has_none() {
        let observed = json!({"sessions": 3});
        let actor = |path: &str| Actor {
            path: path.to_owned(),
            observed: observed.clone(),
            ..Actor::default()
        };
        assert!(sessions(&actor("hub")).is_empty());
        assert!(sessions(&actor("user/1")).is_empty());
        assert!(sessions(&Actor { path: "user/1".to_owned(), ..Actor::default() }).is_empty());
    }

    #[test]
    fn a_size_is_short() {
        let sizes = [0, 9_999, 10_000, 9_999_999, 10_000_000].map(size);
        assert_eq!(sizes, ["0B", "9999B", "10kB", "9999kB", "10MB"]);
    }
}
