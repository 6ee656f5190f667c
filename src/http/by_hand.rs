//! What operators do by hand on a node: end one session, open or close a channel's circuit.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bellpull_actors::hub::{ByHand, Hub};
use bellpull_domain::ids::UserId;
use bellpull_domain::node::Node;
use bellpull_domain::routing::Channel;
use bellpull_port::Clock;
use jiff::SignedDuration;
use reqwest::Method;
use serde::Serialize;
use utoipa_axum::routes;

use super::body::{NoFields, Strict};
use super::error::ApiError;
use super::nodes::{Addressee, addressee, left, pass_on_with};
use super::openapi as doc;
use super::query::Params;
use super::responses as res;
use super::routes::Routes;
use super::who::Operator;
use bellpull_auth::Principal;
use bellpull_nodes::Membership;

/// The longest time for which a circuit is opened: a week. What is to stay open longer has no time.
const OPEN_MAX_S: i64 = 7 * 24 * 3_600;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(close)).with(routes!(circuit))
}

/// Ends one session of a user, with its number in the user's actor. It closes with 1012: its client
/// may come back, and goes on where it was. To keep a user out, deactivate the account.
#[utoipa::path(
    post, path = "/api/operator/users/{user}/sessions/{session}/close/", tag = "Operator",
    params(
        ("user" = i64, Path, description = "The user."),
        ("session" = u32, Path, description = "Its `id` in the tree, in `observed.sessions` of \
            `user/ID`."),
        ("node" = Option<String>, Query, description = "The node; by default the one that answers."),
    ),
    responses(
        (status = 200, description = "It is closed.", body = res::ByHandDone),
        (status = 400, description = "The body has fields: there are none."),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node, or no such session on it."),
        (status = 409, description = "The node has left."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn close(
    State(hub): State<Hub>,
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    Path((user, session)): Path<(String, String)>,
    headers: HeaderMap,
    mut params: Params,
    _: NoFields,
) -> Result<Response, ApiError> {
    let user = user.parse().map(UserId).map_err(|_| ApiError::NotFound)?;
    let session: u32 = session.parse().map_err(|_| ApiError::NotFound)?;
    if let Some(node) = elsewhere(&nodes, &mut params, &headers).await? {
        let path = format!("/api/operator/users/{user}/sessions/{session}/close/");
        return passed_on(&nodes, &node, &path, &principal, None).await;
    }
    hub.close_session(user, session, &principal.user.username).await?;
    let message = format!("session {session} of user/{user} is closed");
    Ok(Json(res::ByHandDone { message, node: nodes.name().shared() }).into_response())
}

/// Opens or closes the circuit of a channel on a node. While it is open the node begins no delivery
/// of this channel: they stay queued, and other nodes send them unless their circuits are open too.
/// What an operator opened stays open for `for_s`, or until an operator closes it or the process
/// ends. Closing also ends what the provider's failures have opened.
#[utoipa::path(
    post, path = "/api/operator/channels/{channel}/circuit/", tag = "Operator",
    request_body = doc::CircuitByHand,
    params(
        ("channel" = String, Path, description = "`EMAIL`, or as the tree has it: `email`."),
        ("node" = Option<String>, Query, description = "The node; by default the one that answers."),
    ),
    responses(
        (status = 200, description = "It is.", body = res::ByHandDone),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node, or no such channel on it."),
        (status = 409, description = "The node has left."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn circuit(
    State(hub): State<Hub>,
    (State(nodes), State(clock)): (State<Membership>, State<Arc<dyn Clock>>),
    Operator(principal): Operator,
    Path(name): Path<String>,
    headers: HeaderMap,
    mut params: Params,
    Strict(mut body): Strict,
) -> Result<Response, ApiError> {
    body.require("state");
    let is_open = body.choice("state", |state| match state {
        "open" => Some(true),
        "closed" => Some(false),
        _ => None,
    });
    let for_s = body.integer("for_s");
    if for_s.is_some_and(|for_s| !(1..=OPEN_MAX_S).contains(&for_s)) {
        body.refuse("for_s", format!("Must be 1 to {OPEN_MAX_S} seconds."));
    }
    if for_s.is_some() && is_open == Some(false) {
        body.refuse("for_s", "Only an open circuit has a time.");
    }
    body.finish()?;
    let is_open = is_open.unwrap_or_default();
    let channel = Channel::from_name(&name.to_uppercase()).ok_or(ApiError::NotFound)?;
    if let Some(node) = elsewhere(&nodes, &mut params, &headers).await? {
        let path = format!("/api/operator/channels/{}/circuit/", channel.as_str());
        let state = if is_open { "open" } else { "closed" };
        let body = serde_json::to_string(&PassedOn { state, for_s });
        let body = body.map_err(|_| ApiError::Internal)?;
        return passed_on(&nodes, &node, &path, &principal, Some(body)).await;
    }
    let until =
        for_s.and_then(|for_s| clock.now().checked_add(SignedDuration::from_secs(for_s)).ok());
    let by_hand = if is_open { ByHand::Open { until } } else { ByHand::Closed };
    if !hub.set_circuit(channel, by_hand, &principal.user.username) {
        return Err(ApiError::NotFound);
    }
    let is = match (is_open, until) {
        (true, Some(until)) => format!("open until {until}"),
        (true, None) => "open until it is closed".to_owned(),
        (false, _) => "closed".to_owned(),
    };
    let message = format!("the circuit of {} is {is}", channel.as_str());
    Ok(Json(res::ByHandDone { message, node: nodes.name().shared() }).into_response())
}

/// The body of a request for another node.
#[derive(Serialize)]
struct PassedOn {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<i64>,
}

/// The other node that a request is for.
pub(super) async fn elsewhere(
    nodes: &Membership,
    params: &mut Params,
    headers: &HeaderMap,
) -> Result<Option<Box<Node>>, ApiError> {
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let Some(name) = node else { return Ok(None) };
    match addressee(nodes, &name, headers).await? {
        Addressee::Own(_) => Ok(None),
        Addressee::Other(node) => Ok(Some(node)),
        Addressee::Left(name) => Err(left(&name)),
    }
}

/// Passes the request on to the node that it concerns.
pub(super) async fn passed_on(
    nodes: &Membership,
    node: &Node,
    path: &str,
    caller: &Principal,
    body: Option<String>,
) -> Result<Response, ApiError> {
    let path = format!("{path}?node={}", node.name);
    pass_on_with(nodes, node, Method::POST, &path, (caller, body)).await
}
