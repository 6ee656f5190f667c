//! A page of a list.

use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Page<T> {
    /// The number of rows on all pages.
    pub(in crate::http) count: i64,
    /// The next page's URL.
    #[schema(required)]
    pub(in crate::http) next: Option<String>,
    /// The previous page's URL.
    #[schema(required)]
    pub(in crate::http) previous: Option<String>,
    /// The rows of this page.
    // Last: a page is written up to here, and then row by row.
    pub(in crate::http) results: Vec<T>,
}
