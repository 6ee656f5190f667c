//! Paginated lists: `{"count","next","previous","results"}`.
//!
//! A page may have a hundred rows of long texts. It is read and written in its turn, row by row,
//! and its bytes are counted until the client has accepted them ([`bellpull_edge::unsent`]).

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::response::Response;
use bellpull_port::PageRequest;
use serde::Serialize;

use super::error::{ApiError, ROWS_MAX};
use super::in_flight::{Reserved, Slot};
use super::responses::Page;
use bellpull_edge::listen::Encrypted;
pub(crate) use bellpull_edge::unsent::{Pages, Pieces, Turn};
use bellpull_edge::{TrustedProxies, peer};

/// Rows per page by default.
const PAGE_SIZE_DEFAULT: u32 = 20;

/// The most rows of a page; a larger request gets this many.
const PAGE_SIZE_MAX: u32 = 100;

/// The requested page, and the URL that its neighbours' links are made from.
#[derive(Debug)]
pub(super) struct Paging {
    request: PageRequest,
    /// The request's slot and its turn; neither if nothing is limited.
    slot: Option<Slot>,
    turn: Option<Turn>,
    /// The beginning of links (see [`LinkBase`]), and the path.
    base: String,
    /// The query without `page`, unchanged.
    filters: Vec<String>,
}

impl Paging {
    /// The request to the store.
    pub(super) fn request(&self) -> PageRequest {
        self.request
    }

    /// The page as JSON, once there is room for it.
    ///
    /// # Errors
    /// [`ApiError::InvalidPage`] past the end, except for the first page of an empty list.
    /// [`ApiError::Unavailable`] if too many answers wait for room.
    pub(super) async fn show<T, R: Serialize>(
        mut self,
        page: bellpull_port::Page<T>,
        row: impl FnMut(T) -> R,
    ) -> Result<Response, ApiError> {
        let pieces = self.write(page, row)?;
        let room = match &self.slot {
            Some(slot) => Some(slot.reserve(pieces.bytes(), self.turn.take()).await?),
            None => None,
        };
        let mut response = Response::new(
            pieces.into_body(room, |length| self.slot.as_ref().map(|slot| slot.hold(length))),
        );
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response.extensions_mut().insert(Reserved);
        Ok(response)
    }

    /// Writes the page; each row is freed once it is written.
    fn write<T, R: Serialize>(
        &self,
        page: bellpull_port::Page<T>,
        mut row: impl FnMut(T) -> R,
    ) -> Result<Pieces, ApiError> {
        let PageRequest { page: number, page_size } = self.request;
        if page.rows.is_empty() && number > 1 {
            return Err(ApiError::InvalidPage);
        }
        let shown_so_far = i64::from(number) * i64::from(page_size);
        let next = (shown_so_far < page.count).then(|| self.link(number + 1));
        let previous = (number > 1).then(|| self.link(number - 1));
        let head = Page::<R> { count: page.count, next, previous, results: Vec::new() };
        let head = serde_json::to_string(&head).map_err(|_| ApiError::Internal)?;
        let head = head.strip_suffix("]}").ok_or(ApiError::Internal)?;
        let mut pieces = Pieces::default();
        pieces.write(|out| out.extend_from_slice(head.as_bytes()));
        for (index, one) in page.rows.into_iter().enumerate() {
            let shown = row(one);
            pieces.write(|out| {
                let comma = if index > 0 { "," } else { "" };
                out.extend_from_slice(comma.as_bytes());
                // Serialising a value into memory cannot fail.
                let _ = serde_json::to_writer(out, &shown);
            });
        }
        pieces.write(|out| out.extend_from_slice(b"]}"));
        Ok(pieces)
    }

    pub(super) fn link(&self, page: u32) -> String {
        let mut query = self.filters.clone();
        // The first page's URL has no number, as in Django REST framework.
        if page > 1 {
            query.push(format!("page={page}"));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.base, query.join("&"))
    }
}

/// The same for a list with the newest rows first, whose order a client may name.
#[derive(Debug)]
pub(super) struct NewestFirst(pub(super) Paging);

impl<S> FromRequestParts<S> for Paging
where
    LinkBase: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Self::read(parts, &LinkBase::from_ref(state), &[]).await
    }
}

impl<S> FromRequestParts<S> for NewestFirst
where
    LinkBase: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let orders = &["-created_at", "-id"];
        Paging::read(parts, &LinkBase::from_ref(state), orders).await.map(Self)
    }
}

impl Paging {
    /// Parses the query. Every list has one order; a client that asks for another is refused,
    /// because it would take the result for what it asked for.
    async fn read(parts: &Parts, links: &LinkBase, orders: &[&str]) -> Result<Self, ApiError> {
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
        // The next page's number must fit into a u32.
        let page = page.ok().filter(|page| (1..u32::MAX).contains(page));
        let page_size = page_size.filter(|size| *size > 0).map_or(PAGE_SIZE_DEFAULT, |size| {
            u32::try_from(size).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX)
        });
        let request = PageRequest { page: page.ok_or(ApiError::InvalidPage)?, page_size };
        if request.offset() >= ROWS_MAX {
            return Err(ApiError::PageTooDeep);
        }
        let base = format!("{}{}", links.of(parts), parts.uri.path());
        let pages = parts.extensions.get::<Pages>().copied().unwrap_or_default();
        let slot = parts.extensions.get::<Slot>().cloned();
        let turn = match &slot {
            Some(slot) => Some(slot.turn(pages).await?),
            None => None,
        };
        Ok(Self { request, slot, turn, base, filters })
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

/// The beginning of links. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkBase {
    public_url: Option<Arc<str>>,
    proxies: TrustedProxies,
}

impl LinkBase {
    /// `public_url` if configured; otherwise the request's host, and a trusted proxy's scheme.
    pub(super) fn new(public_url: Option<&str>, proxies: &TrustedProxies) -> Self {
        Self { public_url: public_url.map(Arc::from), proxies: proxies.clone() }
    }

    /// Empty if the request names no valid host; links are then relative.
    fn of(&self, parts: &Parts) -> String {
        if let Some(url) = &self.public_url {
            return url.to_string();
        }
        let is_https = parts.extensions.get::<Encrypted>().is_some()
            || self.proxies.is_https(peer(&parts.extensions), &parts.headers);
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
    use serde_json::{Value, json};

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

    fn page(count: i64, rows: usize) -> bellpull_port::Page<i64> {
        bellpull_port::Page { count, rows: vec![7; rows] }
    }

    async fn shown(paging: Paging, page: bellpull_port::Page<i64>) -> Result<Value, ApiError> {
        let response = paging.show(page, |row| row).await?;
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn the_links_keep_the_filters() {
        let uri = "/api/tickets/?status=NEW&page=2&search=a%26b&page_size=2";
        let paging = paging(uri, &[("host", "hub.example:8000")]).await.unwrap();
        assert_eq!(paging.request(), PageRequest { page: 2, page_size: 2 });
        let shown = shown(paging, page(5, 2)).await.unwrap();
        let base = "http://hub.example:8000/api/tickets/?status=NEW&search=a%26b&page_size=2";
        let wanted = json!({"count": 5, "next": format!("{base}&page=3"),
            "previous": base, "results": [7, 7]});
        assert_eq!(shown, wanted);
    }

    #[tokio::test]
    async fn the_ends_have_no_links() {
        let first = || paging("/x/", &[("host", "h")]);
        let whole = shown(first().await.unwrap(), page(20, 20)).await.unwrap();
        assert_eq!((&whole["next"], &whole["previous"]), (&Value::Null, &Value::Null));
        let part = shown(first().await.unwrap(), page(21, 20)).await.unwrap();
        assert_eq!(part["next"], "http://h/x/?page=2");
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
            assert_eq!(shown(paging, page(21, 20)).await.unwrap()["next"], wanted);
        }
    }

    #[tokio::test]
    async fn pages_that_are_none() {
        for bad in ["0", "-1", "x", "1.5", "99999999999", "4294967295"] {
            let found = paging(&format!("/x/?page={bad}"), &[]).await;
            assert_eq!(found.unwrap_err(), ApiError::InvalidPage, "{bad}");
        }
        let second = paging("/x/?page=2", &[]).await.unwrap();
        assert_eq!(shown(second, page(5, 0)).await.unwrap_err(), ApiError::InvalidPage);
        let first = paging("/x/?page=", &[]).await.unwrap();
        let empty = shown(first, page(0, 0)).await.unwrap();
        let wanted = json!({"count": 0, "next": null, "previous": null, "results": []});
        assert_eq!(empty, wanted);
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
            let shown = shown(paging, page(99, 20)).await.unwrap();
            assert_eq!(shown["next"], "/x/?page=3", "{bad}");
        }
    }
}
