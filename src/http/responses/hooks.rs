//! Answers to providers.

use serde::Serialize;
use utoipa::ToSchema;

/// The result of a report.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Taken {
    /// How many of the messages this hub knows.
    pub(in crate::http) known: u32,
}
