//! Tells the owners of webhooks that the hub has switched off.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::sends::Sends;
use bellpull_domain::event::Event;
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::ticket::Priority;
use bellpull_domain::user::Role;
use bellpull_domain::webhook::{HookOwner, Webhook};
use bellpull_port::{Clock, Store};
use jiff::Timestamp;
use reqwest::Url;
use tracing::warn;

/// How often webhooks are looked for: one is switched off after a day.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Runs until the hub stops. Of several nodes, the first that finds a webhook tells its owner.
pub(super) async fn tell_owners(store: Arc<dyn Store>, sends: Sends, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // A store that does not answer is asked again.
        for hook in store.untold_webhooks().await.unwrap_or_default() {
            if matches!(store.tell_webhook(hook.id).await, Ok(true)) {
                tell(&hook, &sends, clock.now()).await;
            }
        }
    }
}

async fn tell(hook: &Webhook, sends: &Sends, now: Timestamp) {
    let reason = hook.off_reason.as_deref().unwrap_or_default();
    // The rest of a URL may be a secret.
    let url = Url::parse(&hook.url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    warn!(webhook = hook.id.0, host, reason, "a webhook was switched off");
    let recipients = match hook.owner {
        HookOwner::User(user) => Recipients::Users(vec![user]),
        HookOwner::Project(_) => Recipients::Role(Role::Admin),
    };
    let message = Message {
        event: Event::from_name("webhook_disabled"),
        kind: Kind::Warning,
        title: "Webhook Switched Off".to_owned(),
        body: format!(
            "The webhook {} to {host} is not called any more. {reason} It can be switched on again \
             where webhooks are listed.",
            hook.id.0
        ),
        action_url: String::new(),
        metadata: [("webhook".to_owned(), hook.id.0.into())].into_iter().collect(),
        ticket: None,
        sender: None,
        priority: Priority::Medium,
        created_at: now,
    };
    let new = NewSend {
        message,
        recipients,
        channels: Channels::of(&[Channel::System, Channel::Email]),
        is_critical: false,
        due_at: None,
        key: None,
    };
    if let Err(error) = sends.send(new).await {
        warn!(webhook = hook.id.0, %error, "its owner could not be told");
    }
}
