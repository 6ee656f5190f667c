//! Which channels are configured, and the sender of each.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::channel::{ChannelActor, ChannelLimits};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::{Clock, DeliveryStore, LeaseOwner, Sender};
use tokio::runtime::Handle;

use super::email::{ANSWER_MAX, EmailSender, EmailSetup};
use super::provider::ATTEMPT_MAX;
use super::push::PushSender;
use super::renderer::Renderer;
use super::sms::SmsSender;
use super::webhook::WebhookCaller;
use super::whatsapp::WhatsAppSender;
use crate::config::DeliveryConfig;

/// Longer than any attempt, plus the wait of its record for a busy store.
const LEASE: Duration = Duration::from_secs(120);

/// A channel cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct BadChannel {
    /// The setting at fault.
    pub setting: &'static str,
    /// What is wrong with it; never a secret.
    pub problem: String,
}

/// What the channels are built from.
#[derive(Debug)]
pub struct ChannelParts {
    /// The outbox.
    pub store: Arc<dyn DeliveryStore>,
    /// This process, as the holder of leases.
    pub owner: LeaseOwner,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The store's identity.
    pub epoch: Arc<str>,
    /// Renders the messages.
    pub renderer: Renderer,
    /// Calls webhooks.
    pub webhooks: WebhookCaller,
    /// The runtime that channels run on.
    pub runtime: Handle,
}

/// The channels that are configured.
///
/// # Errors
/// [`BadChannel`] for invalid settings.
pub fn channels(
    config: &DeliveryConfig,
    parts: &ChannelParts,
) -> Result<Vec<ChannelActor>, BadChannel> {
    let bad = |setting: &'static str| move |problem| BadChannel { setting, problem };
    let renderer = || parts.renderer.clone();
    let channel = |channel: Channel, per_s: u32, sender: Arc<dyn Sender>| ChannelActor {
        channel,
        store: Arc::clone(&parts.store),
        owner: parts.owner.clone(),
        sender,
        clock: Arc::clone(&parts.clock),
        limits: ChannelLimits {
            in_flight_max: usize::try_from(config.in_flight).unwrap_or(usize::MAX),
            lane_max: lane_max(channel, config.in_flight),
            per_s,
            lease: LEASE,
            retry: config.retry,
            ..ChannelLimits::default()
        },
        runtime: Some(parts.runtime.clone()),
    };
    let mut on = Vec::new();
    if let Some(smtp) = &config.smtp {
        let sender = EmailSender::new(smtp, config.in_flight, ANSWER_MAX, &parts.epoch, renderer());
        let sender = sender.map_err(|error| {
            let setting = match error {
                EmailSetup::Url | EmailSetup::NoPassword => "smtp.url",
                EmailSetup::NoCertificates(_) | EmailSetup::NoTls => "smtp.ca_file",
                EmailSetup::From => "smtp.from",
            };
            bad(setting)(error.to_string())
        })?;
        on.push(channel(Channel::Email, smtp.per_s, Arc::new(sender)));
    }
    if let Some(whatsapp) = &config.whatsapp {
        let sender = WhatsAppSender::new(whatsapp, ATTEMPT_MAX, renderer());
        let sender = sender.map_err(bad("whatsapp.api_url"))?;
        on.push(channel(Channel::WhatsApp, whatsapp.per_s, Arc::new(sender)));
    }
    if let Some(sms) = &config.sms {
        let sender = SmsSender::new(sms, ATTEMPT_MAX, renderer()).map_err(bad("sms.api_url"))?;
        on.push(channel(Channel::Sms, sms.per_s, Arc::new(sender)));
    }
    if let Some(push) = &config.push {
        let vapid = push.vapid.clone();
        let sender = PushSender::new(vapid, config.outside, ATTEMPT_MAX, renderer());
        let sender = sender.map_err(bad("vapid.private_key"))?;
        on.push(channel(Channel::Push, push.per_s, Arc::new(sender)));
    }
    on.push(channel(Channel::Webhook, 0, Arc::new(parts.webhooks.clone())));
    Ok(on)
}

/// How many of a channel's deliveries in progress may go to one host. There are few push services,
/// and most browsers share one; there are many webhook hosts, and each may hang.
fn lane_max(channel: Channel, in_flight: u32) -> u32 {
    match channel {
        Channel::System | Channel::Email | Channel::WhatsApp | Channel::Sms => u32::MAX,
        Channel::Push => (in_flight / 2).max(1),
        Channel::Webhook => (in_flight / 4).max(1),
    }
}
