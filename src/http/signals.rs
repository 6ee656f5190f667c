//! `GET /api/operator/signals/`: the golden signals of this node over the last hour, and
//! `GET /api/operator/settings/`: the settings in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use reqwest::Method;
use utoipa_axum::routes;

use super::error::ApiError;
use super::nodes::{Addressee, addressee, left, pass_on};
use super::openapi as doc;
use super::query::Params;
use super::responses as res;
use super::routes::Routes;
use super::who::Operator;
use bellpull_auth::Principal;
use bellpull_config::Effective;
use bellpull_nodes::Membership;
use bellpull_telemetry::signals::GoldenSignals;

/// The settings in force on this node.
#[derive(Debug, Clone)]
pub(super) struct InForce(pub(super) Arc<[Effective]>);

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(signals)).with(routes!(settings))
}

/// The golden signals of a node over the last hour: connections, requests, errors, frames, changes
/// of tickets, commits, queues, memory and processors.
#[utoipa::path(
    get, path = "/api/operator/signals/", tag = "Operator", params(doc::SignalsOf),
    responses(
        (status = 200, description = "Oldest first.", body = res::SignalList),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "The node has left."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn signals(
    State(signals): State<GoldenSignals>,
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let after = params.natural("after").unwrap_or(0);
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let path = |node: &str| format!("/api/operator/signals/?node={node}&after={after}");
    if let Some(answer) = elsewhere(&nodes, node, (&headers, &principal), path).await? {
        return Ok(answer);
    }
    Ok(Json(res::SignalList {
        node: nodes.name().to_string(),
        every_s: GoldenSignals::every().as_secs(),
        results: signals.after(after),
    })
    .into_response())
}

/// The settings in force on a node, and where each comes from; secrets are hidden.
#[utoipa::path(
    get, path = "/api/operator/settings/", tag = "Operator", params(doc::EventsOf),
    responses(
        (status = 200, description = "All of them.", body = res::SettingList),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "The node has left."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn settings(
    State(InForce(settings)): State<InForce>,
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let path = |node: &str| format!("/api/operator/settings/?node={node}");
    if let Some(answer) = elsewhere(&nodes, node, (&headers, &principal), path).await? {
        return Ok(answer);
    }
    let list = res::SettingList { node: nodes.name().to_string(), results: settings.to_vec() };
    Ok(Json(list).into_response())
}

/// Another node's answer, if the question is for one.
pub(super) async fn elsewhere(
    nodes: &Membership,
    node: Option<String>,
    (headers, caller): (&HeaderMap, &Principal),
    path: impl Fn(&str) -> String,
) -> Result<Option<Response>, ApiError> {
    let Some(name) = node else { return Ok(None) };
    match addressee(nodes, &name, headers).await? {
        Addressee::Own(_) => Ok(None),
        Addressee::Other(node) => {
            let path = path(&node.name.to_string());
            Ok(Some(pass_on(nodes, &node, Method::GET, &path, caller).await?))
        }
        Addressee::Left(name) => Err(left(&name)),
    }
}
