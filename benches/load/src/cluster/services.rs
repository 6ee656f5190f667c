//! The services that nodes share: a PostgreSQL and a Redis in one temporary folder.

use std::path::Path;

use tempfile::TempDir;

use super::{Postgres, Redis, programs};
use crate::LoadError;

/// The length of a password, in bytes.
const PASSWORD_BYTES: usize = 16;

/// How the services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServicesOptions {
    /// Whether PostgreSQL waits for the disk (`fsync`). Without, a crash of the machine may lose
    /// what was committed, but a crash of its processes does not.
    pub is_durable: bool,
}

impl Default for ServicesOptions {
    fn default() -> Self {
        Self { is_durable: true }
    }
}

/// Both services. They end when this is dropped, and their folder is removed.
#[derive(Debug)]
pub struct Services {
    /// The database.
    pub postgres: Postgres,
    /// The broker.
    pub redis: Redis,
    /// After the services, which end first.
    folder: TempDir,
}

impl Services {
    /// Starts both; returns once they answer.
    ///
    /// # Errors
    /// A program is missing (the text names the packages), or does not start.
    pub async fn start(options: ServicesOptions) -> Result<Self, LoadError> {
        programs::redis()?; // before PostgreSQL has taken its seconds
        let folder = tempfile::Builder::new().prefix("bellpull-services-").tempdir();
        let folder =
            folder.map_err(|error| LoadError::failed(format!("a temporary folder: {error}")))?;
        let mut random = [0; PASSWORD_BYTES];
        getrandom::fill(&mut random).map_err(|error| LoadError::failed(error.to_string()))?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let postgres = Postgres::start(folder.path(), &password, options.is_durable).await?;
        let redis = Redis::start(folder.path(), &password).await?;
        Ok(Self { postgres, redis, folder })
    }

    /// Where their files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
