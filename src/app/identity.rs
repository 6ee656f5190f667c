//! Which store this is, with its secrets, and which node.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_actors::hub::HubNames;
use bellpull_domain::node::NodeName;
use bellpull_port::nodes::NewNode;
use bellpull_port::{AccountStore, Store, StoreError};

use super::StartError;
use super::listeners::Listeners;
use bellpull_auth::NodePasses;
use bellpull_auth::issue::hub_secret;
use bellpull_config::{Config, Secret};
use bellpull_nodes::{Membership, address};

/// The setting that identifies this store to its nodes and to no others: their topic in Redis. It
/// is the first epoch, and stays when a new one begins: nodes that have not noticed yet still hear
/// the others. A restored store has another.
const ID_SETTING: &str = "store_id";

/// How often a node looks whether another process has begun a new epoch.
const EPOCH_READ_EVERY: Duration = Duration::from_secs(3);

/// Registers this process among the nodes.
pub(super) async fn join(
    config: &Config,
    store: &Arc<dyn Store>,
    listeners: &Listeners,
) -> Result<Membership, StartError> {
    let name = match &config.node {
        Some(name) => name.clone(),
        None => own_name().map_err(StartError::of("node"))?,
    };
    let reached_at = async |address| {
        address::reached_at(config.scheme(), address, config.database_url.reveal()).await
    };
    let url = reached_at(listeners.address).await;
    let operator_url = match (&config.node_url, listeners.operator_address) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => reached_at(address).await,
        (None, None) => url.clone(),
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let new = NewNode { name, url, operator_url, version };
    let secret = hub_secret(config, &**store).await.map_err(StartError::of("database_url"))?;
    let passes = NodePasses::new(&secret);
    Ok(Membership::join(store.clone(), new, listeners.certificate.as_ref(), passes).await?)
}

/// A name that no other process has: the host's, and a random suffix.
fn own_name() -> Result<NodeName, getrandom::Error> {
    let host = hostname::get().unwrap_or_default();
    Ok(NodeName::of_host(&host.to_string_lossy(), getrandom::u32()?))
}

/// The store's epoch, and the node's name.
pub(super) async fn names(store: &dyn Store, node: &NodeName) -> Result<HubNames, StoreError> {
    store.read_epoch().await?;
    Ok(HubNames { epoch: store.epoch(), node: node.shared() })
}

/// Identifies the store to the nodes that run on it.
pub(super) async fn store_id(store: &dyn Store, names: &HubNames) -> Result<String, StoreError> {
    store.setting_or_insert(ID_SETTING, &names.epoch.name()).await
}

/// Follows the store's epoch, which an operator may have renewed.
pub(super) async fn follow_epoch(store: Arc<dyn Store>) {
    loop {
        tokio::time::sleep(EPOCH_READ_EVERY).await;
        // A store that does not answer is asked again.
        let _ = store.read_epoch().await;
    }
}

/// The store's secret in that setting, generated once: the same on all nodes.
pub(super) async fn stored_secret(
    accounts: &dyn AccountStore,
    setting: &str,
) -> Result<Secret, StartError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(StartError::of("database_url"))?;
    let secret = accounts.setting_or_insert(setting, &URL_SAFE_NO_PAD.encode(random)).await;
    Ok(Secret::new(secret.map_err(StartError::of("database_url"))?))
}
