//! The way to the other nodes.

use std::sync::Arc;

use bellpull_actors::broker::LocalBroker;
use bellpull_actors::hub::HubNames;
use bellpull_actors::port::{AccountStore, Broker, LeaseOwner};

use super::StartError;
use super::identity::stored_secret;
use crate::broker::RedisBroker;
use crate::config::Config;

/// The setting with the secret of the names that shared limits have in Redis.
const LIMIT_SETTING: &str = "limit_secret";

/// The way to the other nodes, if there is one.
pub(super) async fn broker(
    config: &Config,
    accounts: &dyn AccountStore,
    names: &HubNames,
    owner: &LeaseOwner,
) -> Result<Arc<dyn Broker>, StartError> {
    let Some(url) = &config.redis_url else { return Ok(Arc::new(LocalBroker)) };
    let secret = stored_secret(accounts, LIMIT_SETTING).await?;
    // Boxed: a client's state is large, and most nodes have none.
    let opening = Box::pin(RedisBroker::open(url.reveal(), &names.epoch, owner.as_str()));
    let broker = opening.await.map_err(StartError::of("redis_url"))?;
    Ok(Arc::new(broker.sharing_limits(&names.epoch, secret.reveal())))
}
