//! How long a mail server may take for each step.
//!
//! The limits are those of RFC 5321, 4.5.3.2. They are long because a server that has taken a mail
//! may still filter it before it answers: a client that gives up earlier sends a copy of it.

use std::time::Duration;

/// The size of a block, in bytes: what a connection's buffers take at once.
const BLOCK: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct StepLimits {
    /// To accept a connection.
    pub(super) connect: Duration,
    /// For its greeting, and for the answer to each command but `DATA`.
    pub(super) command: Duration,
    /// For the answer to `DATA`.
    pub(super) data: Duration,
    /// To read each block of a text.
    block: Duration,
    /// For the answer to a whole text.
    end: Duration,
}

impl StepLimits {
    /// Those of the standard. It has none for connecting; 30 s are Postfix's.
    pub const STANDARD: Self = Self {
        connect: Duration::from_secs(30),
        command: Duration::from_secs(300),
        data: Duration::from_secs(120),
        block: Duration::from_secs(180),
        end: Duration::from_secs(600),
    };

    /// The same limit for each step.
    #[must_use]
    pub const fn all(limit: Duration) -> Self {
        Self { connect: limit, command: limit, data: limit, block: limit, end: limit }
    }

    /// From connecting to the last answer: connecting, the greeting, `EHLO` twice, `STARTTLS`, four
    /// turns of `AUTH`, `MAIL`, `RCPT`, `DATA`, a text of four blocks at most, and its end.
    #[must_use]
    pub const fn whole(self) -> Duration {
        let Self { connect, command, data, block, end } = self;
        let seconds = connect.as_secs()
            + 10 * command.as_secs()
            + data.as_secs()
            + 4 * block.as_secs()
            + end.as_secs();
        Duration::from_secs(seconds)
    }

    /// For a connection that is ready for mails: see [`Self::whole`].
    pub(super) fn opening(self) -> Duration {
        self.connect + 8 * self.command
    }

    /// For the answers to these commands, sent together: `DATA` is the last.
    pub(super) fn envelope(self, commands: &[String]) -> Duration {
        let before = u32::try_from(commands.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.data + self.command.saturating_mul(before)
    }

    /// For a text and its answer.
    pub(super) fn text(self, bytes: usize) -> Duration {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        self.end + self.block.saturating_mul(blocks)
    }
}
