//! `GET /api/operator/slow/`: the requests, commits and frames of a node that took long.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bellpull_port::slow::{SlowKind, SlowLog};
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::query::Params;
use super::responses as res;
use super::routes::Routes;
use super::signals::elsewhere;
use super::who::Operator;
use bellpull_nodes::Membership;

/// How many entries are listed by default.
const LIMIT_DEFAULT: usize = 100;
/// The most that are listed.
const LIMIT_MAX: usize = 500;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(slow))
}

/// What took longer than its bound on a node since it started: requests, groups of writes and
/// frames, with what each waited for. The last 200 of each kind are kept, at most 50 a second.
#[utoipa::path(
    get, path = "/api/operator/slow/", tag = "Operator", params(doc::SlowOf),
    responses(
        (status = 200, description = "Newest first.", body = res::SlowList),
        (status = 400, description = "There is no such kind."),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "The node has left."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn slow(
    State(log): State<SlowLog>,
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let kind = params.choice("kind", SlowKind::parse);
    let limit = params.natural("limit");
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let limit = limit.map_or(LIMIT_DEFAULT, |limit| {
        usize::try_from(limit).map_or(LIMIT_MAX, |limit| limit.min(LIMIT_MAX))
    });
    let path = |node: &str| {
        let kind = kind.map(|kind| format!("&kind={}", kind.as_str())).unwrap_or_default();
        format!("/api/operator/slow/?node={node}&limit={limit}{kind}")
    };
    if let Some(answer) = elsewhere(&nodes, node, (&headers, &principal), path).await? {
        return Ok(answer);
    }
    let entries = log.newest(kind, limit);
    Ok(Json(res::SlowList {
        node: nodes.name().to_string(),
        bounds: res::SlowBound::all(&log),
        results: entries.iter().map(|entry| res::SlowRow::from(&**entry)).collect(),
    })
    .into_response())
}
