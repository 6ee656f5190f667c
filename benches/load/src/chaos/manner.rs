//! What lines and the provider do while they are at fault.

/// What lines carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Flow {
    /// Everything, at once.
    #[default]
    Free,
    /// Little at a time from the node to the client.
    Slow,
    /// Nothing in these directions.
    Held { to_node: bool, to_client: bool },
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
