//! The nodes as operators see and stop them; and how a request reaches the node that it is for.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bellpull_domain::node::{Node, NodeName, NodeState};
use reqwest::Method;
use tracing::{info, warn};
use utoipa_axum::routes;

use super::body::NoFields;
use super::error::ApiError;
use super::responses as res;
use super::routes::Routes;
use super::who::Operator;
use bellpull_auth::Principal;
use bellpull_nodes::Membership;
use bellpull_nodes::peers::{PASSED_ON, PeerAnswer, Question};

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list)).with(routes!(drain))
}

/// The nodes: all that are live, and those that left within the hour.
#[utoipa::path(
    get, path = "/api/operator/nodes/", tag = "Operator",
    responses(
        (status = 200, description = "By name.", body = res::Nodes),
        (status = 403, description = "The caller is no super admin."),
    )
)]
async fn list(State(nodes): State<Membership>, _: Operator) -> Result<Json<res::Nodes>, ApiError> {
    Ok(Json(nodes.all().await?.into()))
}

/// Stops a node, as SIGTERM does: it is not ready, its sessions are closed in batches, its process
/// exits with 0.
#[utoipa::path(
    post, path = "/api/operator/nodes/{name}/drain/", tag = "Operator",
    params(("name" = String, Path, description = "The node's name.")),
    responses(
        (status = 202, description = "It begins to stop, or does already.", body = res::Drained),
        (status = 400, description = "The body has fields: there are none."),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "The node has left."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn drain(
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    Path(name): Path<String>,
    headers: HeaderMap,
    _: NoFields,
) -> Result<Response, ApiError> {
    let own = match addressee(&nodes, &name, &headers).await? {
        Addressee::Own(own) => own,
        Addressee::Other(node) => {
            let path = format!("/api/operator/nodes/{}/drain/", node.name);
            return pass_on(&nodes, &node, Method::POST, &path, &principal).await;
        }
        Addressee::Left(name) => return Err(left(&name)),
    };
    info!(operator = %principal.user.username, "an operator stops this node");
    nodes.drain();
    let drained = res::Drained { message: format!("{own} is stopping"), node: own.shared() };
    Ok((StatusCode::ACCEPTED, Json(drained)).into_response())
}

/// Which node a request is for.
pub(super) enum Addressee {
    /// This one.
    Own(NodeName),
    /// Another that has not left.
    Other(Box<Node>),
    /// Another that has left.
    Left(NodeName),
}

/// The node of that name.
///
/// # Errors
/// [`ApiError::NotFound`] if there is none, or if another node has passed the request on: it was
/// meant for a process that is no longer at this address.
pub(super) async fn addressee(
    nodes: &Membership,
    name: &str,
    headers: &HeaderMap,
) -> Result<Addressee, ApiError> {
    if name == nodes.name().as_str() {
        return Ok(Addressee::Own(nodes.name().clone()));
    }
    let known = nodes.all().await?.into_iter().find(|node| node.name.as_str() == name);
    let node = known.filter(|_| !headers.contains_key(PASSED_ON)).ok_or(ApiError::NotFound)?;
    match node.state {
        NodeState::Left => Ok(Addressee::Left(node.name)),
        NodeState::Up | NodeState::Draining => Ok(Addressee::Other(Box::new(node))),
    }
}

/// The error for a request to a node that has left.
pub(super) fn left(name: &NodeName) -> ApiError {
    ApiError::Conflict { code: "node_left", detail: format!("The node {name} has left.") }
}

/// Passes the request to the other node, which answers the caller.
///
/// # Errors
/// [`ApiError::Unavailable`] if it does not answer.
pub(super) async fn pass_on(
    nodes: &Membership,
    node: &Node,
    method: Method,
    path: &str,
    caller: &Principal,
) -> Result<Response, ApiError> {
    pass_on_with(nodes, node, method, path, (caller, None)).await
}

/// The same with a body.
///
/// # Errors
/// As [`pass_on`].
pub(super) async fn pass_on_with(
    nodes: &Membership,
    node: &Node,
    method: Method,
    path: &str,
    (caller, body): (&Principal, Option<String>),
) -> Result<Response, ApiError> {
    let answer = nodes.peers().ask(node, &Question { method, path, caller, body }).await;
    let PeerAnswer { status, body } = answer.map_err(|error| {
        warn!(%error, "a request could not be passed on");
        ApiError::Unavailable
    })?;
    Ok((status, [(CONTENT_TYPE, "application/json")], body).into_response())
}
