//! Calls of another node's operator endpoints, for an operator who asked this one.
//!
//! A call carries a pass for this one request, which names the operator: the other node decides as
//! if it had been asked itself, and its log names the operator. The operator's own token is not
//! sent, because a node's address is a row that may be wrong. A call that was passed on is not
//! passed on again (see [`PASSED_ON`]): an address that another process has taken over leads to an
//! error, not in a circle.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use bellpull_domain::node::Node;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use reqwest::{Client, Method, Response, StatusCode, Url};

use bellpull_auth::{NodePasses, Principal};
use bellpull_tls::{Certificate, Own, hub_client};

/// The scheme of `Authorization` that a pass has.
pub const PASS_SCHEME: &str = "Bellpull-Node";

/// Marks a request that another node has passed on.
pub const PASSED_ON: HeaderName = HeaderName::from_static("bellpull-passed-on");

/// How long another node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a connection to another node may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// The longest answer: the tree with the most children is some tens of megabytes.
const BYTES_MAX: usize = 64 << 20;

/// Another node's answer.
#[derive(Debug)]
pub struct PeerAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its body, JSON.
    pub body: Bytes,
}

/// A node did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the node {node} does not answer: {why}")]
pub struct Unanswered {
    node: String,
    why: String,
}

/// Calls other nodes; clones share the connections.
#[derive(Debug, Clone)]
pub struct Peers {
    client: Client,
    passes: NodePasses,
}

/// What one node asks of another.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The method.
    pub method: Method,
    /// The path, with its query.
    pub path: &'a str,
    /// The operator.
    pub caller: &'a Principal,
    /// The body, JSON; `None`: there is none.
    pub body: Option<String>,
}

impl Peers {
    /// A client for other nodes, which may have the same certificate.
    ///
    /// # Errors
    /// If the TLS settings are unusable.
    pub fn new(own: Option<&Arc<Certificate>>, passes: NodePasses) -> Result<Self, reqwest::Error> {
        let client = hub_client(own.cloned().map(Own::Live)).connect_timeout(CONNECT_MAX);
        Ok(Self { client: client.build()?, passes })
    }

    /// Asks a node, and reads its answer within two seconds.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn ask(
        &self,
        node: &Node,
        question: &Question<'_>,
    ) -> Result<PeerAnswer, Unanswered> {
        let unanswered = |why: String| Unanswered { node: node.name.to_string(), why };
        let asking = async {
            let mut response = self.send(node, question, None).await?;
            let status = response.status();
            let mut body = Vec::new();
            let failed = |error: reqwest::Error| unanswered(error.without_url().to_string());
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > BYTES_MAX {
                    return Err(unanswered("its answer is too long".to_owned()));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(PeerAnswer { status, body: body.into() })
        };
        let late = |_| unanswered(format!("no answer within {} s", ANSWER_MAX.as_secs()));
        tokio::time::timeout(ANSWER_MAX, asking).await.map_err(late)?
    }

    /// Asks a node for a stream that goes on after that event; its head comes within two seconds.
    ///
    /// # Errors
    /// [`Unanswered`], also for a status that is not a success.
    pub async fn stream(
        &self,
        node: &Node,
        question: &Question<'_>,
        last_event: Option<u64>,
    ) -> Result<Response, Unanswered> {
        let unanswered = |why: String| Unanswered { node: node.name.to_string(), why };
        let sent = tokio::time::timeout(ANSWER_MAX, self.send(node, question, last_event)).await;
        let response = sent.map_err(|_| unanswered("no answer in time".to_owned()))??;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(unanswered(format!("it answered {status}"))),
        }
    }

    async fn send(
        &self,
        node: &Node,
        question: &Question<'_>,
        last_event: Option<u64>,
    ) -> Result<Response, Unanswered> {
        let Question { method, path, caller, body } = question;
        let unanswered = |why: String| Unanswered { node: node.name.to_string(), why };
        let signed = format!("{method} {}", sent_as(path));
        let body_bytes = body.as_deref().unwrap_or_default().as_bytes();
        let pass = self.passes.sign(caller, signed, body_bytes, Timestamp::now());
        let pass = pass.map_err(|error| unanswered(error.to_string()))?;
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", node.operator_url))
            .header(AUTHORIZATION, format!("{PASS_SCHEME} {pass}"))
            .header(PASSED_ON, "1");
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.send().await.map_err(|error| unanswered(error.without_url().to_string()))
    }
}

/// The path with its query in the form in which the client library sends it.
fn sent_as(path: &str) -> String {
    let url = Url::parse(&format!("http://node{path}"));
    url.map_or_else(
        |_| path.to_owned(),
        |url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
    )
}
