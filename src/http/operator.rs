//! The operators' endpoints of this node alone: liveness, readiness and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bellpull_port::DeliveryLog;
use utoipa_axum::routes;

use super::readiness::Readiness;
use super::responses as res;
use super::routes::Routes;
use bellpull_edge::accept::{media_type, named_type};

/// The routes that every address serves.
pub(super) fn health() -> Routes {
    Routes::default().with(routes!(healthz)).with(routes!(readyz))
}

/// The route that may be served on the operators' own address.
pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(metrics))
}

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/healthz/", tag = "Operator", security(()),
    responses((status = 200, description = "It does.", body = res::Alive))
)]
async fn healthz() -> Json<res::Alive> {
    Json(res::Alive { status: "ok" })
}

/// Whether this hub accepts work.
#[utoipa::path(
    get, path = "/readyz/", tag = "Operator", security(()),
    responses(
        (status = 200, description = "It should.", body = res::Ready),
        (status = 503, description = "It should not.", body = res::Ready),
    )
)]
async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, Json<res::Ready>) {
    let checks = readiness.check().await;
    let word = |holds: bool, otherwise: &'static str| if holds { "ok" } else { otherwise };
    let is_ready = checks.all();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = res::Ready {
        ready: is_ready,
        status: word(is_ready, "unavailable"),
        checks: res::Checks {
            store: word(checks.does_store_write, "failing"),
            broker: readiness.broker(),
            supervisors: word(checks.are_supervisors_up, "down"),
            draining: if checks.is_staying { "no" } else { "yes" },
        },
    };
    (status, Json(body))
}

/// The media type that Prometheus prefers.
const OPEN_METRICS: &str = "application/openmetrics-text";
/// The older one.
const TEXT: &str = "text/plain";

/// Metrics for Prometheus, in its text format or, as `Accept` asks, in the OpenMetrics format: its
/// histograms have exemplars of traced requests and commits.
#[utoipa::path(
    get, path = "/metrics/", tag = "Operator", security(()),
    responses(
        (
            status = 200, description = "In the text format or OpenMetrics.",
            content(
                (String = "text/plain"),
                (String = "application/openmetrics-text"),
            ),
        ),
    )
)]
async fn metrics(State(log): State<Arc<dyn DeliveryLog>>, headers: HeaderMap) -> Response {
    bellpull_telemetry::signals::count_waiting(&*log).await;
    let (kind, text) = match wants_open_metrics(&headers) {
        true => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (kind, bellpull_telemetry::render_open_metrics())
        }
        false => ("text/plain; version=0.0.4; charset=utf-8", bellpull_telemetry::render()),
    };
    ([(CONTENT_TYPE, kind), (VARY, "Accept")], text).into_response()
}

/// Whether a client asks for the format by its name, and wants it no less than the text format: a
/// browser, or a tool that takes everything, gets what people can read.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let weight = named_type(headers, OPEN_METRICS).filter(|weight| *weight > 0);
    weight.is_some_and(|weight| weight >= media_type(headers, TEXT))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;

    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_prefer_it() {
        for (accept, is_wanted) in [
            ("application/openmetrics-text", true),
            // Prometheus, of several years.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                true,
            ),
            ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5", true),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=0.0, text/plain", false),
            ("application/openmetrics-text;q=0.1, text/plain;q=0.9", false),
            ("APPLICATION/OpenMetrics-Text; Q=0.9, text/*;q=0.5", true),
            ("x-application/openmetrics-text2", false),
            ("application/*", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_open_metrics(&headers), is_wanted, "{accept}");
        }
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
