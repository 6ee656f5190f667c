//! Lists in pages: `{"count","next","previous","results"}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::HOST;
use axum::http::request::Parts;
use bellpull_actors::port::{Page, PageRequest};
use serde_json::{Value, json};

use super::error::ApiError;
use crate::edge::{TrustedProxies, peer};

/// How many rows a page has where nobody says.
const PAGE_SIZE_DEFAULT: u32 = 20;

/// The most rows that a page has; who asks for more gets so many.
const PAGE_SIZE_MAX: u32 = 100;

/// A page begins at most so far from the list's beginning. To get there, a store passes over as many
/// entries of an index, some 5 ms of work; who wants more of a list than this narrows it.
pub(super) const ROWS_MAX: i64 = 100_000;

/// Which page is asked for, and the address that its neighbours' links are made from.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    request: PageRequest,
    /// What the links begin with (see [`LinkBase`]), and the path.
    base: String,
    /// The query without `page`, as it was written.
    filters: Vec<String>,
}

impl Paging {
    /// What the store is to be asked.
    pub(super) fn request(&self) -> PageRequest {
        self.request
    }

    /// The page as clients see it.
    ///
    /// # Errors
    /// [`ApiError::InvalidPage`] past the end; the first page of an empty list is none such.
    pub(super) fn show<T>(
        &self,
        page: &Page<T>,
        row: impl FnMut(&T) -> Value,
    ) -> Result<Json<Value>, ApiError> {
        let PageRequest { page: number, page_size } = self.request;
        if page.rows.is_empty() && number > 1 {
            return Err(ApiError::InvalidPage);
        }
        let shown_so_far = i64::from(number) * i64::from(page_size);
        let next = (shown_so_far < page.count).then(|| self.link(number + 1));
        let previous = (number > 1).then(|| self.link(number - 1));
        let rows: Vec<Value> = page.rows.iter().map(row).collect();
        let (count, results) = (page.count, rows);
        Ok(Json(json!({
            "count": count, "next": next, "previous": previous, "results": results
        })))
    }

    fn link(&self, page: u32) -> String {
        let mut query = self.filters.clone();
        // The first page's address has no number, as in the clients' own framework.
        if page > 1 {
            query.push(format!("page={page}"));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.base, query.join("&"))
    }
}

/// The same of a list whose newest rows come first, which a client may ask for by its name.
#[derive(Debug, Clone)]
pub(super) struct NewestFirst(pub(super) Paging);

impl<S> FromRequestParts<S> for Paging
where
    LinkBase: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Self::read(parts, &LinkBase::from_ref(state), &[])
    }
}

impl<S> FromRequestParts<S> for NewestFirst
where
    LinkBase: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Paging::read(parts, &LinkBase::from_ref(state), &["-created_at", "-id"]).map(Self)
    }
}

impl Paging {
    /// What the query says. Every list has one order; a client that asks for another one is
    /// refused, or it would take what it gets for what it asked for.
    fn read(parts: &Parts, links: &LinkBase, orders: &[&str]) -> Result<Self, ApiError> {
        let mut filters = Vec::new();
        let mut page = None;
        let mut page_size = None;
        for pair in parts.uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("page", number) => page = Some(number).filter(|number| !number.is_empty()),
                ("page_size", size) => {
                    page_size = size.parse::<u64>().ok();
                    filters.push(pair.to_owned());
                }
                ("ordering", order) => {
                    check_order(order, orders)?;
                    filters.push(pair.to_owned());
                }
                _ => filters.push(pair.to_owned()),
            }
        }
        let page = page.map_or(Ok(1), |number| number.parse::<u32>());
        // The last page but one of a u32 has a next one.
        let page = page.ok().filter(|page| (1..u32::MAX).contains(page));
        let page_size = page_size.filter(|size| *size > 0).map_or(PAGE_SIZE_DEFAULT, |size| {
            u32::try_from(size).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX)
        });
        let request = PageRequest { page: page.ok_or(ApiError::InvalidPage)?, page_size };
        if request.offset() >= ROWS_MAX {
            return Err(ApiError::PageTooDeep);
        }
        let base = format!("{}{}", links.of(parts), parts.uri.path());
        Ok(Self { request, base, filters })
    }
}

fn check_order(order: &str, orders: &[&str]) -> Result<(), ApiError> {
    if order.is_empty() || orders.contains(&order) {
        return Ok(());
    }
    let text = match orders {
        [] => "This list has one order: leave this parameter out.".to_owned(),
        orders => format!("This list can be ordered by {} alone.", orders.join(" or ")),
    };
    Err(ApiError::field("ordering", text))
}

/// What links begin with. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkBase {
    public_url: Option<Arc<str>>,
    proxies: TrustedProxies,
}

impl LinkBase {
    /// `public_url` where that is set; else what a request says of its host and a trusted proxy of
    /// its scheme.
    pub(super) fn new(public_url: Option<&str>, proxies: &TrustedProxies) -> Self {
        Self { public_url: public_url.map(Arc::from), proxies: proxies.clone() }
    }

    /// Empty where the request names no host that may stand in a link, which is then relative.
    fn of(&self, parts: &Parts) -> String {
        if let Some(url) = &self.public_url {
            return url.to_string();
        }
        let is_https = self.proxies.is_https(peer(&parts.extensions), &parts.headers);
        origin(if is_https { "https" } else { "http" }, parts)
    }
}

fn origin(scheme: &str, parts: &Parts) -> String {
    let is_host = |host: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(allowed)
    };
    let host = parts.headers.get(HOST).and_then(|value| value.to_str().ok()).filter(is_host);
    host.map_or_else(String::new, |host| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
    use axum::http::Request;

    use super::*;

    async fn paging(uri: &str, headers: &[(&str, &str)]) -> Result<Paging, ApiError> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        of(request.body(()).unwrap(), &LinkBase::default()).await
    }

    async fn of(request: Request<()>, base: &LinkBase) -> Result<Paging, ApiError> {
        Paging::from_request_parts(&mut request.into_parts().0, base).await
    }

    fn page(count: i64, rows: usize) -> Page<i64> {
        Page { count, rows: vec![7; rows] }
    }

    #[tokio::test]
    async fn the_links_keep_the_filters() {
        let uri = "/api/tickets/?status=NEW&page=2&search=a%26b&page_size=2";
        let paging = paging(uri, &[("host", "hub.example:8000")]).await.unwrap();
        assert_eq!(paging.request(), PageRequest { page: 2, page_size: 2 });
        let Json(shown) = paging.show(&page(5, 2), |row| json!(row)).unwrap();
        let base = "http://hub.example:8000/api/tickets/?status=NEW&search=a%26b&page_size=2";
        let wanted = json!({"count": 5, "next": format!("{base}&page=3"),
            "previous": base, "results": [7, 7]});
        assert_eq!(shown, wanted);
    }

    #[tokio::test]
    async fn the_ends_have_no_links() {
        let paging = paging("/x/", &[("host", "h")]).await.unwrap();
        let Json(shown) = paging.show(&page(20, 20), |row| json!(row)).unwrap();
        assert_eq!((&shown["next"], &shown["previous"]), (&Value::Null, &Value::Null));
        let Json(shown) = paging.show(&page(21, 20), |row| json!(row)).unwrap();
        assert_eq!(shown["next"], "http://h/x/?page=2");
    }

    #[tokio::test]
    async fn links_begin_with_the_public_url_or_with_what_a_trusted_proxy_says() {
        let request = |peer: [u8; 4]| {
            let request = Request::get("/x/").header("host", "h");
            let peer = ConnectInfo(SocketAddr::from((peer, 1)));
            request.header("x-forwarded-proto", "https").extension(peer).body(()).unwrap()
        };
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        let (by_proxy, fixed) = (LinkBase::new(None, &proxies), "https://hub.example/base");
        let fixed = LinkBase::new(Some(fixed), &proxies);
        for (peer, base, wanted) in [
            ([10, 0, 0, 1], &by_proxy, "https://h/x/?page=2"),
            ([192, 0, 2, 1], &by_proxy, "http://h/x/?page=2"),
            ([192, 0, 2, 1], &fixed, "https://hub.example/base/x/?page=2"),
        ] {
            let paging = of(request(peer), base).await.unwrap();
            let Json(shown) = paging.show(&page(21, 20), |row| json!(row)).unwrap();
            assert_eq!(shown["next"], wanted);
        }
    }

    #[tokio::test]
    async fn pages_that_are_none() {
        for bad in ["0", "-1", "x", "1.5", "99999999999", "4294967295"] {
            let found = paging(&format!("/x/?page={bad}"), &[]).await;
            assert_eq!(found.unwrap_err(), ApiError::InvalidPage, "{bad}");
        }
        let second = paging("/x/?page=2", &[]).await.unwrap();
        assert_eq!(second.show(&page(5, 0), |_| json!(1)).unwrap_err(), ApiError::InvalidPage);
        let first = paging("/x/?page=", &[]).await.unwrap();
        assert!(first.show(&page(0, 0), |_| json!(1)).is_ok());
    }

    #[tokio::test]
    async fn the_size_is_bounded_and_garbage_is_passed_over() {
        for (given, wanted) in [
            ("5", 5),
            ("100", 100),
            ("101", 100),
            ("9999999999", 100),
            ("0", 20),
            ("-3", 20),
            ("x", 20),
        ] {
            let paging = paging(&format!("/x/?page_size={given}"), &[]).await.unwrap();
            assert_eq!(paging.request().page_size, wanted, "{given}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_none_is_not_repeated() {
        for bad in ["evil/\"><script>", "", "a b"] {
            let paging = paging("/x/?page=2", &[("host", bad)]).await.unwrap();
            let Json(shown) = paging.show(&page(99, 20), |row| json!(row)).unwrap();
            assert_eq!(shown["next"], "/x/?page=3", "{bad}");
        }
    }
}
