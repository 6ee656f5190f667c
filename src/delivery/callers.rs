//! The clients of the channels whose destinations users name: their senders use them, and so do
//! users' own tests.

use super::bad_channel::{BadChannel, bad};
use super::provider::ATTEMPT_MAX;
use super::push::PushCaller;
use super::webhook::{CALL_MAX, WebhookCaller};
use bellpull_config::DeliveryConfig;

/// The clients. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Callers {
    /// Calls webhooks.
    pub webhooks: WebhookCaller,
    /// Calls push services, if web push is configured.
    pub push: Option<PushCaller>,
}

impl Callers {
    /// The clients of the configured channels.
    ///
    /// # Errors
    /// [`BadChannel`], if no HTTP client can be created.
    pub fn new(config: &DeliveryConfig) -> Result<Self, BadChannel> {
        let webhooks = WebhookCaller::new(config.outside, CALL_MAX);
        let webhooks = webhooks.map_err(bad("webhook.allow_private"))?;
        let push = config.push.as_ref().map(|push| {
            PushCaller::new(push.vapid.clone(), config.outside, ATTEMPT_MAX)
                .map_err(bad("vapid.private_key"))
        });
        Ok(Self { webhooks, push: push.transpose()? })
    }
}
