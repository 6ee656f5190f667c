//! A page of a list.

use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The number of rows on all pages.
    pub(crate) count: i64,
    /// The next page's URL.
    #[schema(required)]
    pub(crate) next: Option<String>,
    /// The previous page's URL.
    #[schema(required)]
    pub(crate) previous: Option<String>,
    /// The rows of this page.
    // Last: a page is written up to here, and then row by row.
    pub(crate) results: Vec<T>,
}
