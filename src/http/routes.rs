//! Routes and their documentation, from one list: a path that is served is documented, and the
//! reverse.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;

use utoipa_axum::router::UtoipaMethodRouter;

use super::Edge;

/// What `routes!` makes of handlers that share a path.
pub(super) type Documented = UtoipaMethodRouter<Edge>;

/// Routes, with their part of the document.
#[derive(Default)]
pub(super) struct Routes {
    /// The router.
    pub(super) router: Router<Edge>,
    /// Their documentation.
    pub(super) paths: Paths,
    /// The schemas that it uses.
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Routes {
    /// Adds handlers at the path that they document, in all its spellings.
    pub(super) fn with(mut self, documented: Documented) -> Self {
        let (schemas, paths, methods) = documented;
        for path in paths.paths.keys() {
            self.router = spelled(self.router, path, &methods);
        }
        self.document(schemas, paths)
    }

    /// The same for a path with a parameter that contains slashes, which OpenAPI cannot express:
    /// the router has it as `served`.
    /// Several operations may share such a route; `methods` tells them apart.
    pub(super) fn with_served_at(
        mut self,
        served: &str,
        methods: MethodRouter<Edge>,
        documented: impl IntoIterator<Item = Documented>,
    ) -> Self {
        self.router = self.router.route(served, methods);
        documented.into_iter().fold(self, |all, (schemas, paths, _)| all.document(schemas, paths))
    }

    /// Adds a page for browsers, which is not part of the REST interface.
    pub(super) fn with_page(mut self, path: &str, methods: MethodRouter<Edge>) -> Self {
        self.router = self.router.route(path, methods);
        self
    }

    /// Both lists combined.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.document(other.schemas, other.paths)
    }

    fn document(mut self, schemas: Vec<(String, RefOr<Schema>)>, paths: Paths) -> Self {
        self.schemas.extend(schemas);
        for (path, item) in paths.paths {
            self.paths.paths.entry(path).or_default().merge_operations(item);
        }
        self
    }
}

/// Registers a path with and without its trailing slash, and its last segment with `_` and `-`.
fn spelled(routes: Router<Edge>, path: &str, methods: &MethodRouter<Edge>) -> Router<Edge> {
    spellings(path).into_iter().fold(routes, |routes, path| routes.route(&path, methods.clone()))
}

fn spellings(path: &str) -> Vec<String> {
    let bare = path.trim_end_matches('/');
    let (before, last) = bare.rsplit_once('/').unwrap_or(("", bare));
    let mut words = vec![last.to_owned()];
    if !last.starts_with('{') {
        words.push(last.replace('_', "-"));
        words.push(last.replace('-', "_"));
    }
    words.sort();
    words.dedup();
    words.iter().flat_map(|word| ["", "/"].map(|end| format!("{before}/{word}{end}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_served_in_every_spelling() {
        assert_eq!(spellings("/api/tickets/"), ["/api/tickets", "/api/tickets/"]);
        let item = "/api/some_things/{some_id}";
        assert_eq!(spellings(item), [item.to_owned(), format!("{item}/")]);
        for given in ["/api/{id}/mark_as_read/", "/api/{id}/mark-as-read"] {
            let wanted = ["/api/{id}/mark-as-read", "/api/{id}/mark-as-read/"];
            let more = ["/api/{id}/mark_as_read", "/api/{id}/mark_as_read/"];
            assert_eq!(spellings(given), [wanted, more].concat(), "{given}");
        }
    }
}
