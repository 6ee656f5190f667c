//! Who publishes on the nodes' topic, for `check`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellpull_port::RefusedMessages;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use super::connection::NoBroker;
use super::connection::{Inbound, Server};
use super::message;
use super::seal::Cluster;
use super::strangers::{Refused, Senders};

/// Every node publishes a beat within half a second; one may be late.
const LISTEN: Duration = Duration::from_millis(1_200);

/// Listens for a second: the nodes of the cluster that publish, and what they would refuse.
///
/// # Errors
/// What Redis refuses, or that it does not answer.
pub async fn listen(url: &str, cluster: &Cluster) -> Result<(usize, RefusedMessages), NoBroker> {
    let (messages, mut arrived) = mpsc::channel(1_024);
    let has_lost = Arc::new(AtomicBool::new(false));
    let inbound = Inbound { messages, has_lost, ended: Arc::new(Notify::new()) };
    let subscribed = Server::parse(url)?.subscribe(&cluster.topic(), inbound).await;
    let _link = subscribed.map_err(|error| NoBroker(error.to_string()))?;
    let (mut senders, refused) = (Senders::new(None), Refused::default());
    let mut nodes = BTreeSet::new();
    let end = Instant::now() + LISTEN;
    while let Ok(Some(bytes)) = timeout_at(end, arrived.recv()).await {
        match senders.admit(cluster, &bytes) {
            Ok(()) => {
                nodes.insert(message::sender(&bytes).unwrap_or_default().to_vec());
            }
            Err(why) => {
                refused.note(why);
            }
        }
    }
    Ok((nodes.len(), refused.read()))
}
