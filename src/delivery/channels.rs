//! The configured channels, and the sender of each.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::channel::{ChannelActor, ChannelLimits};
use bellpull_domain::channel::{Channel, OUTGOING_NAMES};
use bellpull_port::{Clock, DeliveryStore, LeaseOwner, Sender};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::bad_channel::{BadChannel, bad};
use super::callers::Callers;
use super::email::{EmailSender, EmailSetup};
use super::mail_limits::StepLimits;
use super::provider::{ATTEMPT_MAX, MESSAGE_MAX};
use super::push::PushSender;
use super::renderer::Renderer;
use super::sms::SmsSender;
use super::webhook::CALL_MAX;
use super::whatsapp::WhatsAppSender;
use bellpull_config::DeliveryConfig;

/// How long the deliveries of a process that has died wait for another one. It is longer than most
/// attempts and the wait of their records for a busy store; slower ones extend their leases.
const LEASE: Duration = Duration::from_secs(120);

/// How much longer than an adapter's own limit the channel waits: it ends adapters that fail to
/// keep theirs.
const GRACE: Duration = Duration::from_secs(10);

/// The dependencies of the channels.
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
    /// Call webhooks and push services.
    pub callers: Callers,
    /// How many nodes share the channels' limits.
    pub nodes: watch::Receiver<u32>,
    /// The runtime that channels run on.
    pub runtime: Handle,
}

/// How the adapter of a channel is built.
struct Adapter {
    channel: Channel,
    /// The sender, if the channel is configured.
    build: fn(&DeliveryConfig, &ChannelParts) -> Result<Option<Built>, BadChannel>,
}

/// An adapter that was built.
struct Built {
    sender: Arc<dyn Sender>,
    /// Messages per second; 0 means no limit.
    per_s: u32,
    /// How long its attempts may take, by its own limits.
    attempt_max: Duration,
}

impl Built {
    fn new(sender: impl Sender, per_s: u32, attempt_max: Duration) -> Self {
        Self { sender: Arc::new(sender), per_s, attempt_max }
    }
}

/// The adapters: one for each channel but the inbox.
const ADAPTERS: [Adapter; OUTGOING_NAMES.len()] = [
    Adapter { channel: Channel::Email, build: email },
    Adapter { channel: Channel::WhatsApp, build: whatsapp },
    Adapter { channel: Channel::Sms, build: sms },
    Adapter { channel: Channel::Push, build: push },
    Adapter { channel: Channel::Webhook, build: webhook },
];

/// The channels that are configured.
///
/// # Errors
/// [`BadChannel`] for invalid settings.
pub fn channels(
    config: &DeliveryConfig,
    parts: &ChannelParts,
) -> Result<Vec<ChannelActor>, BadChannel> {
    let mut on = Vec::new();
    for Adapter { channel, build } in ADAPTERS {
        let Some(Built { sender, per_s, attempt_max }) = build(config, parts)? else { continue };
        on.push(ChannelActor {
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
                send_max: attempt_max + GRACE,
                retry: config.retry,
            },
            nodes: parts.nodes.clone(),
            runtime: Some(parts.runtime.clone()),
        });
    }
    Ok(on)
}

fn email(config: &DeliveryConfig, parts: &ChannelParts) -> Result<Option<Built>, BadChannel> {
    let Some(smtp) = &config.smtp else { return Ok(None) };
    let (in_flight, renderer) = (config.in_flight, parts.renderer.clone());
    let limits = StepLimits::STANDARD;
    let sender = EmailSender::new(smtp, in_flight, limits, &parts.epoch, renderer);
    let sender = sender.map_err(|error| {
        let setting = match error {
            EmailSetup::Url | EmailSetup::NoPassword => "smtp.url",
            EmailSetup::NoCertificates(_) | EmailSetup::NoTls => "smtp.ca_file",
            EmailSetup::From => "smtp.from",
            EmailSetup::Hello => "smtp.hello",
        };
        bad(setting)(error.to_string())
    })?;
    Ok(Some(Built::new(sender, smtp.per_s, limits.whole())))
}

fn whatsapp(config: &DeliveryConfig, parts: &ChannelParts) -> Result<Option<Built>, BadChannel> {
    let Some(whatsapp) = &config.whatsapp else { return Ok(None) };
    let sender = WhatsAppSender::new(whatsapp, MESSAGE_MAX, parts.renderer.clone());
    let sender = sender.map_err(bad("whatsapp.api_url"))?;
    Ok(Some(Built::new(sender, whatsapp.per_s, MESSAGE_MAX)))
}

fn sms(config: &DeliveryConfig, parts: &ChannelParts) -> Result<Option<Built>, BadChannel> {
    let Some(sms) = &config.sms else { return Ok(None) };
    let sender = SmsSender::new(sms, MESSAGE_MAX, parts.renderer.clone());
    Ok(Some(Built::new(sender.map_err(bad("sms.api_url"))?, sms.per_s, MESSAGE_MAX)))
}

fn push(config: &DeliveryConfig, parts: &ChannelParts) -> Result<Option<Built>, BadChannel> {
    let Some(push) = &config.push else { return Ok(None) };
    let Some(caller) = parts.callers.push.clone() else { return Ok(None) };
    let sender = PushSender::new(caller, parts.renderer.clone());
    Ok(Some(Built::new(sender, push.per_s, ATTEMPT_MAX)))
}

/// Webhooks need no settings: only users who create one are affected.
fn webhook(_: &DeliveryConfig, parts: &ChannelParts) -> Result<Option<Built>, BadChannel> {
    Ok(Some(Built::new(parts.callers.webhooks.clone(), 0, CALL_MAX)))
}

/// How many of a channel's deliveries in progress may go to one host.
fn lane_max(channel: Channel, in_flight: u32) -> u32 {
    match channel.spec().host_share {
        1 => u32::MAX,
        share => (in_flight / share).max(1),
    }
}
