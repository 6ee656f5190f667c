//! The operators' endpoints of this node alone: liveness, readiness and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bellpull_actors::port::DeliveryLog;
use utoipa_axum::routes;

use super::readiness::Readiness;
use super::responses as res;
use super::routes::Routes;

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
    crate::signals::count_waiting(&*log).await;
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (kind, text) = match accepted.into_iter().any(|kinds| kinds.contains(OPEN_METRICS)) {
        true => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (kind, crate::telemetry::render_open_metrics())
        }
        false => ("text/plain; version=0.0.4; charset=utf-8", crate::telemetry::render()),
    };
    ([(CONTENT_TYPE, kind)], text).into_response()
}
