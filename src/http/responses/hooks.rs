//! Answers to providers.

use serde::Serialize;
use utoipa::ToSchema;

/// The result of a report.
#[derive(Serialize, ToSchema)]
pub(crate) struct Taken {
    /// How many of the messages this hub knows.
    pub(crate) known: u32,
}
