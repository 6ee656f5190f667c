//! Events of the supervision trees of the nodes, as one stream.
//!
//! Each node numbers its own events. A stream over all nodes is gathered by a task: it follows this
//! node's log, and asks each other node for its stream; nodes that join later are found within a
//! heartbeat's time, and a stream that ends is asked for again after the last event that came. The
//! task ends with the reader's connection. Events of one node are in order, those of two need not
//! be.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use bellpull_actors::hub::Hub;
use bellpull_actors::observe::{TreeEvent, TreeEvents};
use bellpull_domain::node::{HEARTBEAT_EVERY, Node, NodeName};
use futures_util::stream::{self, Stream, StreamExt};
use reqwest::Method;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;
use utoipa_axum::routes;

use super::error::ApiError;
use super::nodes::{Addressee, addressee, left};
use super::openapi as doc;
use super::query::Params;
use super::readiness::Readiness;
use super::routes::Routes;
use super::who::Operator;
use crate::sse::read::{self, Reader};
use bellpull_auth::{Auth, Principal};
use bellpull_nodes::Membership;
use bellpull_nodes::peers::Question;
use cursor::Cursor;

mod cursor;

/// Proxies close idle connections, most after 60 s, some after 30.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a stream may outlive its reader's token, login or role: as long as an account is
/// cached.
const RECHECK: Duration = Duration::from_secs(2);

/// Events that wait for a reader. When these are full, the nodes' own logs keep what follows.
const WAITING_MAX: usize = 256;

/// A reader's position, read and written again.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn position(text: &str, own: &NodeName) -> String {
    Cursor::parse(text, own).to_string()
}

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(events))
}

/// What a reader is sent: an event, or that events are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    node: NodeName,
    /// The event's number on its node; `None` for the notice that events are missing.
    id: Option<u64>,
    /// The event as JSON, or how many are missing.
    data: String,
}

impl Notice {
    /// Another node's event, if it is one that we know.
    fn of(node: &NodeName, event: read::Event) -> Option<Self> {
        let id = match event.name.as_deref() {
            None => Some(event.id?.parse().ok()?),
            Some("missed") => None,
            Some(_) => return None,
        };
        Some(Self { node: node.clone(), id, data: event.data })
    }
}

/// An event and its node.
#[derive(Serialize)]
struct NodeEvent<'a> {
    node: &'a str,
    #[serde(flatten)]
    event: &'a TreeEvent,
}

/// Events of the supervision tree as they happen (Server-Sent Events), of a node or of all nodes.
/// Each event has an `id`. A new reader is sent the last 100 events of each node first; one with
/// `Last-Event-ID` those after it, preceded by an event `missed` with the number of those that are
/// no longer kept.
#[utoipa::path(
    get, path = "/api/operator/events/", tag = "Operator",
    params(
        doc::EventsOf,
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that the client \
            has. An event that its node has not reached is another process's: as without it."),
    ),
    responses(
        (
            status = 200, description = "One JSON object an event, with its `node`; `missed`, with \
                a number, where some are not kept.",
            body = String, content_type = "text/event-stream",
        ),
        (status = 403, description = "The caller is no super admin."),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "The node has left."),
    )
)]
async fn events(
    State(hub): State<Hub>,
    State(nodes): State<Membership>,
    State(readiness): State<Readiness>,
    State(auth): State<Auth>,
    Operator(principal): Operator,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let node = params.text("node").map(str::to_owned);
    params.finish()?;
    let whose = match node {
        None => Whose::All,
        Some(name) => match addressee(&nodes, &name, &headers).await? {
            Addressee::Own(_) => Whose::Own,
            Addressee::Other(node) => Whose::Other(node),
            Addressee::Left(name) => return Err(left(&name)),
        },
    };
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let cursor = Cursor::parse(last.unwrap_or_default(), nodes.name());
    let caller = principal.clone();
    let gathering = Gathering { hub, nodes, caller, whose, cursor: cursor.clone() };
    let end = async move {
        tokio::select! {
            // Otherwise a stopping hub would wait for its readers until the grace period ends.
            () = readiness.drain_begun() => {}
            () = right_ended(auth, principal) => {}
        }
    };
    Ok(Sse::new(shown(gathering.begin(), cursor).take_until(end))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Returns once the reader's right ends, a service's with its token: its reader comes again with a
/// new one.
async fn right_ended(auth: Auth, principal: Principal) {
    while auth.recheck(&principal).await.is_ok() {
        tokio::time::sleep(RECHECK.min(auth.time_left(&principal))).await;
    }
}

/// What is told, with the position after it as its id.
fn shown(
    told: mpsc::Receiver<Notice>,
    cursor: Cursor,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((told, cursor), |(mut told, mut cursor)| async move {
        let Notice { node, id, data } = told.recv().await?;
        let event = match id {
            Some(id) => {
                cursor.advance(node, id);
                Event::default().id(cursor.to_string()).data(data)
            }
            None => Event::default().event("missed").data(data),
        };
        Some((Ok(event), (told, cursor)))
    })
}

/// Whose events are gathered.
enum Whose {
    All,
    Own,
    Other(Box<Node>),
}

/// The task that gathers events for one reader.
struct Gathering {
    hub: Hub,
    nodes: Membership,
    caller: Principal,
    whose: Whose,
    cursor: Cursor,
}

impl Gathering {
    fn begin(self) -> mpsc::Receiver<Notice> {
        let (queue, told) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            tokio::select! {
                () = queue.closed() => {}
                () = self.gather(&queue) => {}
            }
        });
        told
    }

    async fn gather(&self, queue: &mpsc::Sender<Notice>) {
        let mut others: JoinSet<(NodeName, Option<u64>)> = JoinSet::new();
        let mut followed: Vec<NodeName> = Vec::new();
        let mut cursor = self.cursor.clone();
        let is_own_wanted = !matches!(self.whose, Whose::Other(_));
        let own = async {
            if is_own_wanted {
                self.follow_own(queue).await;
            }
            std::future::pending::<()>().await;
        };
        let all = async {
            loop {
                for node in self.others().await {
                    if !followed.contains(&node.name) {
                        followed.push(node.name.clone());
                        let last = cursor.of(&node.name);
                        others.spawn(self.follow(node, last, queue.clone()));
                    }
                }
                tokio::time::sleep(HEARTBEAT_EVERY).await;
                while let Some(ended) = others.try_join_next() {
                    let Ok((name, last)) = ended else { continue };
                    followed.retain(|followed| *followed != name);
                    if let Some(last) = last {
                        cursor.advance(name, last);
                    }
                }
            }
        };
        tokio::join!(own, all);
    }

    /// The other nodes that are to be followed and can be.
    async fn others(&self) -> Vec<Node> {
        let known = match &self.whose {
            Whose::Own => return Vec::new(),
            Whose::All | Whose::Other(_) => self.nodes.all().await.unwrap_or_default(),
        };
        let is_wanted = |node: &Node| match &self.whose {
            Whose::Other(wanted) => node.name == wanted.name,
            Whose::All | Whose::Own => node.name != *self.nodes.name(),
        };
        known.into_iter().filter(|node| node.state.is_live() && is_wanted(node)).collect()
    }

    async fn follow_own(&self, queue: &mpsc::Sender<Notice>) {
        let last = self.cursor.of(self.nodes.name());
        let mut told = own_events(self.hub.events(last), last, self.nodes.name().clone()).boxed();
        while let Some(told) = told.next().await {
            if queue.send(told).await.is_err() {
                return;
            }
        }
    }

    /// Follows another node until its stream ends; its name, and the last event that came.
    fn follow(
        &self,
        node: Node,
        mut last: Option<u64>,
        queue: mpsc::Sender<Notice>,
    ) -> impl Future<Output = (NodeName, Option<u64>)> + Send + 'static {
        let (peers, caller) = (self.nodes.peers().clone(), self.caller.clone());
        async move {
            let path = format!("/api/operator/events/?node={}", node.name);
            let (method, caller) = (Method::GET, &caller);
            let question = Question { method, path: &path, caller, body: None };
            let mut response = match peers.stream(&node, &question, last).await {
                Ok(response) => response,
                Err(error) => {
                    debug!(%error, "a node's events are missing");
                    return (node.name, last);
                }
            };
            let mut reader = Reader::default();
            while let Ok(Some(chunk)) = response.chunk().await {
                let events = reader.read(&chunk).into_iter();
                for told in events.filter_map(|event| Notice::of(&node.name, event)) {
                    last = told.id.or(last);
                    if queue.send(told).await.is_err() {
                        return (node.name, last);
                    }
                }
            }
            (node.name, last)
        }
    }
}

/// The kept events, then new ones. If numbers are missing, because the client was away for too long
/// or is too slow, it is first told how many.
fn own_events(
    events: TreeEvents,
    last: Option<u64>,
    node: NodeName,
) -> impl Stream<Item = Notice> + Send {
    let state = (events.kept, events.live, last, None::<Arc<TreeEvent>>, node);
    stream::unfold(state, |(mut kept, mut live, last, waiting, node)| async move {
        let event = match waiting {
            Some(event) => event,
            None => {
                let event = next(&mut kept, &mut live).await?;
                let missed = missed(last, event.id);
                if missed > 0 {
                    let told = Notice { node: node.clone(), id: None, data: missed.to_string() };
                    return Some((told, (kept, live, last, Some(event), node)));
                }
                event
            }
        };
        let id = event.id;
        let shown = NodeEvent { node: node.as_str(), event: &event };
        let data = serde_json::to_string(&shown).unwrap_or_default();
        let told = Notice { node: node.clone(), id: Some(id), data };
        Some((told, (kept, live, Some(id), None, node)))
    })
}

/// The next event; an overwritten one shows as a gap in the numbers.
async fn next(
    kept: &mut VecDeque<Arc<TreeEvent>>,
    live: &mut Receiver<Arc<TreeEvent>>,
) -> Option<Arc<TreeEvent>> {
    if let Some(event) = kept.pop_front() {
        return Some(event);
    }
    loop {
        match live.recv().await {
            Ok(event) => return Some(event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// How many lie between the last one seen and this one. Numbers start over with the process.
fn missed(last: Option<u64>, id: u64) -> u64 {
    last.map_or(0, |last| id.saturating_sub(last.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    fn event(id: u64) -> Arc<TreeEvent> {
        let (path, detail) = ("user/42".to_owned(), "line\nbreak".to_owned());
        let at = jiff::Timestamp::UNIX_EPOCH;
        Arc::new(TreeEvent { id, at, path, what: "failed", detail })
    }

    async fn told(kept: &[u64], live: Receiver<Arc<TreeEvent>>, last: Option<u64>) -> Vec<Notice> {
        let kept = kept.iter().copied().map(event).collect();
        let node = NodeName::parse("a").unwrap();
        own_events(TreeEvents { kept, live }, last, node).collect().await
    }

    fn ids(told: &[Notice]) -> Vec<Result<u64, &str>> {
        told.iter().map(|told| told.id.ok_or(told.data.as_str())).collect()
    }

    #[tokio::test]
    async fn events_carry_their_numbers_and_their_node() {
        let (sender, receiver) = broadcast::channel(8);
        sender.send(event(2)).unwrap();
        sender.send(event(3)).unwrap();
        drop(sender);
        let told = told(&[1], receiver, None).await;
        assert_eq!(ids(&told), [Ok(1), Ok(2), Ok(3)]);
        let data = &told[0].data;
        assert!(data.contains(r#""path":"user/42","what":"failed","detail":"line\nbreak""#));
        assert!(data.contains(r#""node":"a""#) && data.contains(r#""id":1"#), "{data}");
    }

    #[tokio::test]
    async fn a_slow_or_late_reader_is_told_how_many_were_missed() {
        let (sender, receiver) = broadcast::channel(2);
        for id in 8..=12 {
            sender.send(event(id)).unwrap();
        }
        drop(sender);
        let told = told(&[6, 7], receiver, Some(2)).await;
        assert_eq!(ids(&told), [Err("3"), Ok(6), Ok(7), Err("3"), Ok(11), Ok(12)]);
    }

    #[tokio::test]
    async fn an_id_is_the_position_on_every_node() {
        let (queue, told) = mpsc::channel(8);
        let [a, b] = ["a", "b"].map(|name| NodeName::parse(name).unwrap());
        for (node, id) in [(&a, Some(1)), (&b, Some(7)), (&a, None), (&a, Some(5))] {
            let told = Notice { node: node.clone(), id, data: "{}".to_owned() };
            queue.send(told).await.unwrap();
        }
        drop(queue);
        let body = Sse::new(shown(told, Cursor::parse("", &a)));
        let body = axum::response::IntoResponse::into_response(body).into_body();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        let text = String::from_utf8(bytes.into()).unwrap();
        let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, ["1", "a:1,b:7", "a:5,b:7"], "{text}");
        assert!(text.contains("event: missed\n"), "{text}");
    }

    #[test]
    fn another_node_s_events_are_those_with_a_number_and_those_that_are_missing() {
        let node = NodeName::parse("b").unwrap();
        let told = |stream: &str| -> Vec<Notice> {
            let events = Reader::default().read(stream.as_bytes()).into_iter();
            events.filter_map(|event| Notice::of(&node, event)).collect()
        };
        let stream = "event: missed\ndata: 3\n\nid: 6\ndata: {}\n\nevent: new\ndata: 1\n\n\
                      id: x\ndata: 2\n\ndata: 2\n\n";
        let of = |id, data: &str| Notice { node: node.clone(), id, data: data.to_owned() };
        assert_eq!(told(stream), [of(None, "3"), of(Some(6), "{}")]);
    }

    #[test]
    fn a_gap_is_counted_and_a_new_process_begins_again() {
        assert_eq!(missed(None, 7), 0);
        assert_eq!(missed(Some(6), 7), 0);
        assert_eq!(missed(Some(4), 7), 2);
        assert_eq!(missed(Some(900), 1), 0);
        assert_eq!(missed(Some(u64::MAX), 1), 0);
    }
}
