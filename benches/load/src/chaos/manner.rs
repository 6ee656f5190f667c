//! What lines, the provider, and Redis do while they are at fault.

use std::time::Duration;

/// What lines carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Flow {
    /// Everything, at once.
    #[default]
    Free,
    /// Little at a time from the node to the client.
    Slow,
    /// Everything, so much later, in each direction.
    Late(Duration),
    /// Nothing in these directions.
    Held { to_node: bool, to_client: bool },
}

/// How fast writers write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pace {
    /// As people do.
    #[default]
    Usual,
    /// Without a pause.
    Rush,
    /// Only messages are sent, and nothing is built on what was written before.
    Lull,
}

/// How connections to PostgreSQL fall silent. The node is the client here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    /// What connections carry meanwhile, those that are opened later included.
    pub(super) flow: Flow,
    /// Whether those that are open at the beginning are never heard of again, as after a firewall
    /// has lost its state.
    pub(super) is_for_good: bool,
    /// Whether new ones are reset meanwhile.
    pub(super) refuses: bool,
    /// Whether all are reset at its end.
    pub(super) is_cut: bool,
}

impl Silence {
    /// Nothing is carried, and nothing else is wrong.
    const BOTH: Self = Self {
        flow: Flow::Held { to_node: true, to_client: true },
        is_for_good: false,
        refuses: false,
        is_cut: false,
    };

    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::BOTH,
        // The server executes what it was sent, and its answers wait.
        Self { flow: Flow::Held { to_node: false, to_client: true }, ..Self::BOTH },
        Self { flow: Flow::Held { to_node: true, to_client: false }, ..Self::BOTH },
        Self { flow: Flow::Free, is_for_good: true, ..Self::BOTH },
        Self { is_for_good: true, ..Self::BOTH },
        Self { is_for_good: true, refuses: true, ..Self::BOTH },
        Self { is_cut: true, ..Self::BOTH },
    ];
}

/// What a node reads from Redis that Redis did not mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Garbage {
    /// Random bytes between its answers.
    Random,
    /// The beginnings of thousands of arrays, each within the one before.
    Arrays,
    /// The same of attributes.
    Attributes,
    /// The beginning of a text that never ends.
    LongText,
    /// The beginning of an array that never ends.
    LongArray,
    /// Messages as of a node, published by another client of that Redis.
    Forged,
    /// The nodes' own messages with something changed in them.
    Altered,
    /// The nodes' own messages once more.
    Repeated,
    /// Messages that are none.
    Noise,
}

impl Garbage {
    /// All.
    pub(super) const ALL: [Self; 9] = [
        Self::Random,
        Self::Arrays,
        Self::Attributes,
        Self::LongText,
        Self::LongArray,
        Self::Forged,
        Self::Altered,
        Self::Repeated,
        Self::Noise,
    ];

    /// In words, for the list of faults.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "answers with random bytes",
            Self::Arrays => "answers with nested arrays",
            Self::Attributes => "answers with nested attributes",
            Self::LongText => "begins a text without an end",
            Self::LongArray => "begins an array without an end",
            Self::Forged => "carries forged messages",
            Self::Altered => "carries altered messages",
            Self::Repeated => "carries messages once more",
            Self::Noise => "carries messages that are none",
        }
    }
}

/// How the provider behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// It accepts every call at once.
    #[default]
    Well,
    /// It reads a call and never answers.
    Hang,
    /// It answers when the fault is over: too late, if that is more than 10 s.
    Late,
    /// It reads a call and resets the connection.
    Cut,
    /// It resets the connection in the middle of its answer.
    HalfAnswer,
    /// It answers 429 with `Retry-After`.
    Busy,
    /// It answers 503 with `Retry-After`.
    Down,
    /// It answers every call twice.
    Twice,
}

impl Manner {
    /// All that are faults.
    pub(super) const FAULTS: [Self; 7] =
        [Self::Hang, Self::Late, Self::Cut, Self::HalfAnswer, Self::Busy, Self::Down, Self::Twice];

    /// In words, for the list of faults.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Well => "accepts",
            Self::Hang => "never answers",
            Self::Late => "answers late",
            Self::Cut => "resets connections",
            Self::HalfAnswer => "resets connections in its answers",
            Self::Busy => "answers 429",
            Self::Down => "answers 503",
            Self::Twice => "answers twice",
        }
    }
}
