//! Where a value comes from.

use serde::Serialize;
use utoipa::ToSchema;

/// Where a value comes from; each counts before those above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SettingSource)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It is the default.
    Default,
    /// `bellpull.toml`
    File,
    /// A `BELLPULL_` variable.
    Environment,
    /// An option of the command.
    Flag,
}

impl Source {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}
