//! How a command fails: one line, and an exit code.

use std::io::Write;
use std::process::ExitCode;

use bellpull_port::StoreError;

use bellpull_auth::{AuthError, AuthStartError};
use bellpull_config::{ConfigError, is_json_asked};
use bellpull_telemetry as telemetry;

/// The commands that run without a user before them: what reads their log reads their error.
const LOGGING: [&str; 2] = ["serve", "migrate"];

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// Wrong usage or configuration; the line begins with the setting or option.
    #[error("{0}")]
    Wrong(String),
    /// The command's work failed.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// Wrong usage or configuration.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }

    /// The command's work failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Wrong(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    /// Writes the line to stderr, as the log's lines are written.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let line = self.to_string().lines().collect::<Vec<_>>().join(" ");
        let arguments: Vec<String> =
            std::env::args_os().map(|one| one.to_string_lossy().into_owned()).collect();
        let runs_alone = arguments.get(1).is_some_and(|command| LOGGING.contains(&&**command));
        let line = match runs_alone && is_json_asked(&arguments) {
            true => telemetry::json_line(&line),
            false => format!("bellpull: {line}"),
        };
        // If this fails, there is nowhere to report it; the macro would panic.
        let _ = writeln!(anstream::stderr(), "{line}");
        ExitCode::from(self.code())
    }
}

#[cfg(feature = "load")]
impl From<bellpull_load::LoadError> for CliError {
    fn from(error: bellpull_load::LoadError) -> Self {
        match error {
            bellpull_load::LoadError::Wrong(text) => Self::Wrong(text),
            bellpull_load::LoadError::Failed(text) => Self::Failed(text),
        }
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
