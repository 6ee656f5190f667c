//! The supervision trees of the nodes, and restarts of their actors.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bellpull_actors::hub::Hub;
use bellpull_domain::node::{Node, NodeState};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::value::RawValue;
use tracing::warn;
use utoipa_axum::routes;

use super::Edge;
use super::body::{NoFields, Strict};
use super::by_hand::{elsewhere, passed_on};
use super::error::ApiError;
use super::nodes::{Addressee, addressee, left, pass_on};
use super::openapi as doc;
use super::query::Params;
use super::readiness::Readiness;
use super::responses as res;
use super::routes::Routes;
use super::who::Operator;
use bellpull_auth::Principal;
use bellpull_nodes::Membership;
use bellpull_nodes::peers::Question;

/// How many children of each supervisor are listed by default.
const CHILDREN_DEFAULT: usize = 50;
/// The most that are listed: some megabytes.
const CHILDREN_MAX: usize = 10_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(tree))
        // An actor's path contains slashes, so the rest of the path is one parameter.
        .with_served_at(
            "/api/operator/actors/{*rest}",
            post(act),
            [routes!(restart), routes!(watch)],
        )
}

/// Both actions on an actor have the same route.
async fn act(State(edge): State<Edge>, Path(rest): Path<String>, request: Request) -> Response {
    match rest.trim_end_matches('/').ends_with("/trace") {
        true => watch.call(request, edge).await,
        false => restart.call(request, edge).await,
    }
}

/// For how long an actor is watched by default.
const WATCH_DEFAULT_S: i64 = 300;
/// The longest time.
const WATCH_MAX_S: i64 = 3_600;

/// Watches an actor's messages: until then the tree shows its last 50 by name, time and duration.
/// `for_s: 0` ends it. A restarted actor is not watched.
#[utoipa::path(
    post, path = "/api/operator/actors/{path}/trace/", tag = "Operator",
    request_body = doc::WatchedFor,
    params(
        ("path" = String, Path, description = "As for a restart."),
        ("node" = Option<String>, Query, description = "The node; by default the one that answers."),
    ),
    responses(
        (status = 200, description = "It is watched, or no longer.", body = res::Watching),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node, or no such actor on it."),
        (status = 409, description = "The node has left."),
        (status = 429, description = "20 actors of the node are watched."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn watch(
    State(hub): State<Hub>,
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    Path(rest): Path<String>,
    headers: HeaderMap,
    mut params: Params,
    Strict(mut body): Strict,
) -> Result<Response, ApiError> {
    let path = rest.trim_end_matches('/').strip_suffix("/trace").ok_or(ApiError::NotFound)?;
    let for_s = body.integer("for_s").unwrap_or(WATCH_DEFAULT_S);
    if !(0..=WATCH_MAX_S).contains(&for_s) {
        body.refuse("for_s", format!("Must be 0 to {WATCH_MAX_S} seconds."));
    }
    body.finish()?;
    if let Some(node) = elsewhere(&nodes, &mut params, &headers).await? {
        let actor = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
        let there = format!("/api/operator/actors/{actor}/trace/");
        let body = Some(format!(r#"{{"for_s":{for_s}}}"#));
        return passed_on(&nodes, &node, &there, &principal, body).await;
    }
    let time = Duration::from_secs(for_s.unsigned_abs());
    let until = hub.watch_messages(path, time, &principal.user.username).await?;
    let (path, node) = (path.to_owned(), nodes.name().shared());
    Ok(Json(res::Watching { path, node, until }).into_response())
}

/// The supervision tree of a node, or of all nodes: then its root is `cluster`, and its children
/// are the roots of the nodes. If only this node is known, the root is its own. A node that has
/// left or does not answer within two seconds is shown as `left` or `unreachable`.
#[utoipa::path(
    get, path = "/api/operator/tree/", tag = "Operator", params(doc::TreeSize),
    responses(
        (status = 200, description = "The root, and all below it.", body = res::Actor),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn tree(
    State(hub): State<Hub>,
    State(nodes): State<Membership>,
    State(readiness): State<Readiness>,
    Operator(principal): Operator,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let asked = params.natural("children");
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let children = asked.map_or(CHILDREN_DEFAULT, |asked| {
        usize::try_from(asked).map_or(CHILDREN_MAX, |asked| asked.min(CHILDREN_MAX))
    });
    let own = Own { hub: &hub, nodes: &nodes, readiness: &readiness, children };
    let Some(name) = node else {
        return Ok(Json(all(&own, &principal).await?).into_response());
    };
    match addressee(&nodes, &name, &headers).await? {
        Addressee::Own(_) => Ok(Json(own.tree().await?).into_response()),
        Addressee::Other(node) => {
            pass_on(&nodes, &node, Method::GET, &own.path_at(&node), &principal).await
        }
        Addressee::Left(name) => {
            Ok(Json(res::Actor::absent(&name.shared(), "left")).into_response())
        }
    }
}

/// What this node's tree is made of.
struct Own<'a> {
    hub: &'a Hub,
    nodes: &'a Membership,
    readiness: &'a Readiness,
    children: usize,
}

impl Own<'_> {
    /// This node's tree; its root shows the state of what the node depends on.
    async fn tree(&self) -> Result<res::Actor, ApiError> {
        let (report, checks) = tokio::join!(self.hub.tree(self.children), self.readiness.check());
        let standing = res::NodeStanding {
            version: env!("CARGO_PKG_VERSION"),
            broker: self.readiness.broker(),
            broker_refused: self.readiness.broker_refused(),
            store: if checks.does_store_write { "ok" } else { "failing" },
            draining: if checks.is_staying { "no" } else { "yes" },
            lease_owner: self.nodes.lease_owner().as_str().to_owned(),
            sessions: self.hub.users.sessions(),
        };
        Ok(res::Actor::root(report?, &self.nodes.name().shared(), standing))
    }

    /// The same question at another node.
    fn path_at(&self, node: &Node) -> String {
        format!("/api/operator/tree/?node={}&children={}", node.name, self.children)
    }
}

/// The trees of all nodes, asked at once.
async fn all(own: &Own<'_>, caller: &Principal) -> Result<res::Actor, ApiError> {
    let known = own.nodes.all().await?;
    let is_own = |node: &Node| node.name == *own.nodes.name();
    if known.iter().all(is_own) {
        return own.tree().await;
    }
    let trees = known.iter().map(async |node| match node.state {
        _ if is_own(node) => own.tree().await.map(|tree| res::Child::Own(Box::new(tree))),
        NodeState::Left => Ok(absent(node, "left")),
        NodeState::Up | NodeState::Draining => Ok(other(own, node, caller).await?),
    });
    let trees: Result<Vec<res::Child>, ApiError> = join_all(trees).await.into_iter().collect();
    Ok(res::Actor::cluster(&own.nodes.name().shared(), trees?))
}

fn absent(node: &Node, state: &'static str) -> res::Child {
    res::Child::Own(Box::new(res::Actor::absent(&node.name.shared(), state)))
}

/// Another node's tree, or that there is none now.
async fn other(own: &Own<'_>, node: &Node, caller: &Principal) -> Result<res::Child, ApiError> {
    let path = own.path_at(node);
    let question = Question { method: Method::GET, path: &path, caller, body: None };
    let answer = own.nodes.peers().ask(node, &question).await;
    let tree = match &answer {
        Ok(answer) if answer.status == StatusCode::OK => {
            serde_json::from_slice::<Box<RawValue>>(&answer.body).map_err(|error| error.to_string())
        }
        Ok(answer) => Err(format!("it answered {}", answer.status)),
        Err(error) => Err(error.to_string()),
    };
    Ok(match tree {
        Ok(tree) => res::Child::Other(tree),
        Err(why) => {
            warn!(node = %node.name, why, "a node is missing in the tree");
            absent(node, "unreachable")
        }
    })
}

/// Restarts an actor, of this node or of the one that is named.
#[utoipa::path(
    post, path = "/api/operator/actors/{path}/restart/", tag = "Operator",
    params(
        ("path" = String, Path, description = "As the tree shows it: `users/0`, written \
            `users%2F0`; plain slashes will do too."),
        ("node" = Option<String>, Query, description = "The node; by default the one that answers."),
    ),
    responses(
        (status = 200, description = "It starts again.", body = res::Restarting),
        (status = 400, description = "The body has fields: there are none."),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node, or no such actor on it."),
        (status = 409, description = "The node has left."),
        (status = 429, description = "Operators asked for more than 60 restarts, and then for \
            more than one a second."),
        (status = 503, description = "The node does not answer."),
    )
)]
async fn restart(
    State(hub): State<Hub>,
    State(nodes): State<Membership>,
    Operator(principal): Operator,
    Path(rest): Path<String>,
    headers: HeaderMap,
    mut params: Params,
    _: NoFields,
) -> Result<Response, ApiError> {
    let path = rest.trim_end_matches('/').strip_suffix("/restart").ok_or(ApiError::NotFound)?;
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let addressee = match node {
        Some(name) => addressee(&nodes, &name, &headers).await?,
        None => Addressee::Own(nodes.name().clone()),
    };
    if let Addressee::Left(name) = &addressee {
        return Err(left(name));
    }
    if let Addressee::Other(node) = addressee {
        let actor = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
        let there = format!("/api/operator/actors/{actor}/restart/?node={}", node.name);
        return pass_on(&nodes, &node, Method::POST, &there, &principal).await;
    }
    hub.restart(path, &principal.user.username).await?;
    let (message, path) = (format!("{path} starts again"), path.to_owned());
    let node = nodes.name().shared();
    Ok(Json(res::Restarting { message, path, node }).into_response())
}
