//! The way to the other nodes.

use std::sync::Arc;

use bellpull_actors::broker::LocalBroker;
use bellpull_actors::hub::HubNames;
use bellpull_port::{Broker, LeaseOwner, NodeStore, Store};

use super::StartError;
use super::identity::store_id;
use bellpull_auth::issue::hub_secret;
use bellpull_broker::{Cluster, RedisBroker};
use bellpull_config::Config;

/// The way to the other nodes, if there is one.
pub(super) async fn broker(
    config: &Config,
    store: &Arc<dyn Store>,
    names: &HubNames,
    owner: &LeaseOwner,
) -> Result<Arc<dyn Broker>, StartError> {
    let Some(url) = &config.redis_url else { return Ok(Arc::new(LocalBroker)) };
    let database = store.database_id().await.map_err(StartError::of("database_url"))?;
    let secret = hub_secret(config, &**store).await.map_err(StartError::of("database_url"))?;
    let id = store_id(&**store, names).await.map_err(StartError::of("database_url"))?;
    let cluster = Cluster::new(&id, &database, secret.reveal());
    // Boxed: a client's state is large, and most nodes have none.
    let nodes: Option<Arc<dyn NodeStore>> = Some(Arc::<dyn Store>::clone(store));
    let opening = RedisBroker::open(url.reveal(), &cluster, owner.as_str(), nodes);
    let opening = Box::pin(opening);
    let broker = opening.await.map_err(StartError::of("redis_url"))?;
    Ok(Arc::new(broker.sharing_limits()))
}
