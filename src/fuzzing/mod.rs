//! The targets of the fuzzers in `tests/fuzz`, one for each door from outside; not in releases.
//!
//! Each is a function of any bytes, and panics where an invariant does not hold. The harnesses
//! stand beside what they test, in files called `fuzz.rs`.

#[cfg(test)]
mod tests;

use crate::{auth, broker, delivery, edge, http, wire, ws};

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident => $harness:path,)+) => {
        $($(#[$doc])* pub fn $name(bytes: &[u8]) { $harness(bytes); })+

        /// All of them, by name.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name)),+];
    };
}

targets! {
    /// Frames of a WebSocket client.
    frames => ws::fuzz::frames,
    /// The beginning of a connection that may be a handshake.
    handshake => ws::fuzz::handshake,
    /// Requests on a connection.
    heads => edge::fuzz::heads,
    /// `X-Forwarded-For` and `Forwarded`.
    proxies => edge::fuzz::proxies,
    /// Messages of WebSocket clients.
    commands => wire::fuzz::commands,
    /// Bodies of requests as JSON.
    json => http::fuzz::json,
    /// The body of a send.
    sends => http::fuzz::sends,
    /// Queries of lists, and positions.
    queries => http::fuzz::queries,
    /// Access tokens.
    tokens => auth::fuzz::tokens,
    /// Reports of providers, and links in mails.
    hooks => delivery::fuzz::hooks,
    /// Templates that admins write.
    templates => delivery::fuzz::templates,
    /// Messages between nodes.
    messages => broker::fuzz::messages,
}
