//! How a command fails: one line, and an exit code.

use std::process::ExitCode;

use bellpull_actors::port::StoreError;

use crate::auth::{AuthError, AuthStartError};
use crate::config::ConfigError;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// Wrong usage or configuration; the line begins with the setting at fault.
    #[error("{0}")]
    Wrong(String),
    /// It failed at work.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// Wrong usage or configuration.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }

    /// Failed at work.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// What the shell is told.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Wrong(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    /// Writes the one line on stderr.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let line = self.to_string().lines().collect::<Vec<_>>().join(" ");
        anstream::eprintln!("bellpull: {line}");
        ExitCode::from(self.code())
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<AuthStartError> for CliError {
    fn from(error: AuthStartError) -> Self {
        match error {
            AuthStartError::Setting { .. } => Self::Wrong(error.to_string()),
            AuthStartError::Store(error) => error.into(),
        }
    }
}

impl From<AuthError> for CliError {
    fn from(error: AuthError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}
