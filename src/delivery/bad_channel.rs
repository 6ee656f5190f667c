//! The error for a channel that cannot be set up.

/// A channel cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct BadChannel {
    /// The setting at fault.
    pub setting: &'static str,
    /// What is wrong with it; never a secret.
    pub problem: String,
}

/// The error of a setting, from its problem.
pub(super) fn bad(setting: &'static str) -> impl Fn(String) -> BadChannel {
    move |problem| BadChannel { setting, problem }
}
