//! The layers around every request: its place among those in progress, a time limit, a panic
//! handler, metrics, and the answers for unknown paths and methods.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use bellpull_port::exemplars;
use bellpull_port::slow::{Slow, SlowKind, SlowLog, Waits};
use bellpull_port::trace::Trace;
use futures_util::FutureExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::error::ApiError;
use super::in_flight::{InFlight, Slot};
use bellpull_telemetry::traces;

/// The time limit until an answer begins. Clients' own limits are 30 s and more, so they see the
/// error.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// How long a browser may cache a preflight's result.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// Adds the layers to all routes of a router.
pub(super) fn guarded<S>(
    routes: Router<S>,
    allowed_origins: &[String],
    in_flight: &InFlight,
    slow: &SlowLog,
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let (in_flight, slow) = (in_flight.clone(), slow.clone());
    let guard = move |request, next| guard(in_flight.clone(), slow.clone(), request, next);
    let routes = routes
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method))
        .layer(from_fn(guard));
    // Outermost, so that browsers can also read the answers to failed requests.
    match cors(allowed_origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

/// Runs work that must complete even if the client disconnects, which drops the handler: what is
/// stored is then also announced.
pub(super) async fn spawn_uncancelled<T, F>(work: F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
    T: Send + 'static,
{
    let work = Waits::current().within(Trace::current().within(work));
    tokio::spawn(work).await.unwrap_or_else(|error| {
        if let Ok(panic) = error.try_into_panic() {
            tracing::error!(panic = text_of(&*panic), "a handler panicked");
        }
        Err(ApiError::Internal)
    })
}

async fn guard(in_flight: InFlight, slow: SlowLog, mut request: Request, next: Next) -> Response {
    let slot = Slot::new(&in_flight);
    let method = request.method().clone();
    request.extensions_mut().insert(slot.clone());
    let recorder = Recorder { slot: slot.clone(), is_finished: false };
    let response = within(REQUEST_MAX, &slow, request, next).await;
    let is_recorded = recorder.finish(response.status()).await;
    // As after a lost answer, the caller does not know the outcome.
    let response = match is_recorded || !response.status().is_success() {
        true => response,
        false => ApiError::Unavailable.into_response(),
    };
    slot.count(&method, response).await
}

/// Records what an admin changes by a request, when it ends: also if its client leaves before the
/// answer.
struct Recorder {
    slot: Slot,
    is_finished: bool,
}

impl Recorder {
    /// Waits for the entry, and returns whether there is one, or none is needed: a change that is
    /// acknowledged is in the audit log.
    async fn finish(mut self, status: StatusCode) -> bool {
        self.is_finished = true;
        match self.slot.record(Some(status)) {
            Some(recording) => matches!(recording.await, Ok(Ok(()))),
            None => true,
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.is_finished {
            self.slot.record(None);
        }
    }
}

async fn within(limit: Duration, slow: &SlowLog, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method());
    let route = route(request.extensions().get::<MatchedPath>());
    let mut span = traces::request(request.headers(), method, &route);
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let work = span.trace().within(tokio::time::timeout(limit, work));
    let waits = Waits::begin(slow);
    let mut response = match waits.clone().within(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            tracing::error!(panic = text_of(&*panic), route, "a handler panicked");
            ApiError::Internal.into_response()
        }
        Err(_) => {
            tracing::warn!(route, "a request took longer than {limit:?}");
            ApiError::Unavailable.into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers are private: no cache on the way may store them.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(|| status.to_string());
    }
    let took = began.elapsed();
    slow.note(SlowKind::Request, took, || Slow {
        what: format!("{method} {route}"),
        waits: waits.parts(took),
        status: Some(status.as_u16()),
        trace: span.trace().traceparent(),
    });
    let labels = [("method", method), ("route", route.as_str())];
    let seconds = took.as_secs_f64();
    exemplars::note("bellpull_http_request_seconds", &labels, seconds, &span.trace());
    count(method, route, status.as_str().to_owned(), took);
    response
}

fn count(method: &'static str, route: String, status: String, took: Duration) {
    metrics::histogram!("bellpull_http_request_seconds", "method" => method,
        "route" => route.clone())
    .record(took.as_secs_f64());
    metrics::counter!("bellpull_http_requests_total", "method" => method, "route" => route,
        "status" => status)
    .increment(1);
}

/// The registered route, never the path as sent: a label must not grow with client input. Both
/// spellings of a path are one route.
fn route(matched: Option<&MatchedPath>) -> String {
    matched.map_or_else(
        || "(none)".to_owned(),
        |matched| format!("{}/", matched.as_str().trim_end_matches('/')),
    )
}

/// The method as a label; clients may send any word as a method.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
}

/// The CORS rules; `None` if no origin is allowed.
fn cors(allowed_origins: &[String]) -> Option<CorsLayer> {
    use axum::http::header::{ALLOW, RETRY_AFTER};
    if allowed_origins.is_empty() {
        return None;
    }
    let is_any = allowed_origins.iter().any(|origin| origin == "*");
    let origins = match is_any {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(allowed_origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(methods)
        // Front ends send their framework's and their tracing's; none means anything to the hub.
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(!is_any)
        .expose_headers([RETRY_AFTER, ALLOW])
        .max_age(PREFLIGHT_MAX_AGE);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::{get, post};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use bellpull_config::Config;

    async fn boom() -> StatusCode {
        panic!("the text")
    }

    fn router(origins: &[&str]) -> Router {
        let routes = Router::new()
            .route("/ok/", get(async || "ok"))
            .route("/post/", post(async || "ok"))
            .route("/boom/", get(boom))
            .route("/never/", get(std::future::pending::<StatusCode>));
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        guarded(routes, &origins, &InFlight::new(&Config::default().http), &SlowLog::default())
    }

    async fn ask(router: Router, request: Request) -> (Response<()>, Value) {
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        (Response::from_parts(parts, ()), body)
    }

    fn get_of(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_there_is_json() {
        let (response, body) = ask(router(&[]), get_of("/nowhere/")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(body["code"], "not_found");
        let (response, body) = ask(router(&[]), get_of("/post/")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(body["detail"], "Method \"GET\" not allowed.");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let (response, body) = ask(router(&[]), get_of("/boom/")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("the text"));
        let outcome = spawn_uncancelled::<(), _>(async { panic!("x") }).await;
        assert_eq!(outcome, Err(ApiError::Internal));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up() {
        let brief = from_fn(async |request, next| {
            within(Duration::from_millis(1), &SlowLog::default(), request, next).await
        });
        let (response, body) = ask(router(&[]).layer(brief), get_of("/never/")).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            (&response.headers()["retry-after"], &body["code"]),
            (&"1".parse().unwrap(), &Value::from("unavailable"))
        );
    }

    #[tokio::test]
    async fn what_must_end_ends_without_a_waiting_caller() {
        let (done, end) = tokio::sync::oneshot::channel();
        let (go, start) = tokio::sync::oneshot::channel::<()>();
        let work = spawn_uncancelled(async move {
            let _ = start.await;
            let _ = done.send(());
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
        go.send(()).unwrap();
        end.await.unwrap();
    }

    /// Those of the hub's own clients, of Django's, of tracing.
    const ASKED: &str =
        "authorization, idempotency-key, x-csrftoken, x-requested-with, traceparent";

    fn preflight(origin: &str) -> Request {
        Request::options("/post/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", ASKED)
            .body(Body::empty())
            .unwrap()
    }

    #[tokio::test]
    async fn a_preflight_of_an_allowed_origin_is_answered() {
        let app = "https://app.example.com";
        let (response, _) = ask(router(&[app]), preflight(app)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], app);
        assert_eq!(response.headers()["access-control-allow-headers"], ASKED);
        assert_eq!(response.headers()["access-control-allow-credentials"], "true");
        let (response, _) = ask(router(&["*"]), preflight("https://other.example")).await;
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-allow-headers"], ASKED);
        // With credentials browsers would refuse the star.
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
    }

    #[tokio::test]
    async fn other_origins_are_told_nothing_and_errors_can_be_read() {
        let app = "https://app.example.com";
        let (response, _) = ask(router(&[app]), preflight("https://evil.example")).await;
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        let (response, _) = ask(router(&[]), preflight(app)).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        let mut request = get_of("/boom/");
        request.headers_mut().insert("origin", HeaderValue::from_static(app));
        let (response, _) = ask(router(&[app]), request).await;
        assert_eq!(response.headers()["access-control-allow-origin"], app);
    }

    #[test]
    fn labels_do_not_grow_with_what_clients_send() {
        assert_eq!(known(&Method::from_bytes(b"BREW").unwrap()), "OTHER");
        assert_eq!(route(None), "(none)");
    }
}
