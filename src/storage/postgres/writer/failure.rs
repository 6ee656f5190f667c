//! Why a group was not written.

use bellpull_port::StoreError;

use super::super::ids::Drawn;
use super::super::transaction::{NotCommitted, failed, is_broken};
use crate::error::unavailable;

/// Why a group was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// A statement failed.
    Sql(sqlx::Error),
    /// A request cannot be carried out.
    Refused(StoreError),
    /// The outcome is unknown: it must not be tried again.
    Unknown(String),
    /// The blocks of ids did not suffice.
    ShortOfIds(Drawn),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<NotCommitted> for Failure {
    fn from(why: NotCommitted) -> Self {
        match why {
            NotCommitted::Aborted(error) => Self::Sql(error),
            NotCommitted::Unknown(status) => Self::Unknown(status),
        }
    }
}

impl Failure {
    /// The error of a request that failed alone.
    pub(super) fn alone(self) -> StoreError {
        match self {
            Self::Sql(error) => failed(error),
            Self::Refused(error) => error,
            Self::Unknown(status) => NotCommitted::Unknown(status).into(),
            Self::ShortOfIds(_) => unavailable("no ids are left"),
        }
    }

    /// Whether all requests have failed for a reason that is none of theirs.
    pub(super) fn is_everyones(&self) -> bool {
        match self {
            Self::Sql(error) => is_broken(error),
            Self::Unknown(_) => true,
            Self::Refused(_) | Self::ShortOfIds(_) => false,
        }
    }
}
