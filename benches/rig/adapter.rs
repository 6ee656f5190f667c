//! The hub's own adapters without a store: what they send is in memory, and the outcome is checked
//! and dropped.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures")]
#![allow(clippy::cast_possible_wrap, reason = "figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bellpull::config::Secret;
use bellpull::config::delivery::{SmtpConfig, WhatsAppConfig};
use bellpull::delivery::email::EmailSender;
use bellpull::delivery::link::Links;
use bellpull::delivery::mail_limits::StepLimits;
use bellpull::delivery::renderer::Renderer;
use bellpull::delivery::template_service::Templates;
use bellpull::delivery::whatsapp::WhatsAppSender;
use bellpull_domain::channel::Channel;
use bellpull_domain::delivery::{Addressee, Leased, Outcome, Target};
use bellpull_domain::ids::{DeliveryId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::locale::Locale;
use bellpull_domain::notification::Message;
use bellpull_port::Sender;
use jiff::Timestamp;

use super::sink::{Protocol, Sink};

/// This many messages by this many tasks; returns messages per second.
pub async fn send(sink: &Sink, message: &Message, tasks: usize, messages: usize) -> f64 {
    sink.forget();
    let (sender, content) = (sender(sink, tasks), MessageContent::new(message.clone()));
    let next = Arc::new(AtomicUsize::new(1));
    let begun = Instant::now();
    let protocol = sink.protocol();
    let sending = (0..tasks).map(|_| {
        let (sender, content, next) = (sender.clone(), content.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number > messages {
                    return;
                }
                let outcome = sender.send(&leased(protocol, &content, number as i64)).await;
                assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
            }
        })
    });
    futures_util::future::try_join_all(sending.collect::<Vec<_>>()).await.unwrap();
    messages as f64 / begun.elapsed().as_secs_f64()
}

fn sender(sink: &Sink, connections: usize) -> Arc<dyn Sender> {
    let links = Links::new(None, Secret::new("x".to_owned()));
    let renderer = Renderer { templates: Templates::default(), links };
    let attempt_max = Duration::from_secs(20);
    match sink.protocol() {
        Protocol::Smtp => {
            let config = SmtpConfig {
                url: Secret::new(sink.url()),
                from: "Desk <desk@example.com>".to_owned(),
                hello: None,
                ca_file: None,
                per_s: 0,
            };
            let connections = connections as u32;
            let limits = StepLimits::all(attempt_max);
            Arc::new(EmailSender::new(&config, connections, limits, "e", renderer).unwrap())
        }
        Protocol::WhatsApp => {
            let config = WhatsAppConfig {
                token: Secret::new("token".to_owned()),
                phone_number_id: "1".to_owned(),
                api_url: sink.url(),
                app_secret: None,
                verify_token: None,
                template: None,
                template_language: "en".to_owned(),
                per_s: 0,
            };
            Arc::new(WhatsAppSender::new(&config, attempt_max, renderer).unwrap())
        }
    }
}

fn leased(protocol: Protocol, content: &Arc<MessageContent>, number: i64) -> Leased {
    let target = match protocol {
        Protocol::Smtp => Target::Account(Channel::Email, format!("student{number}@example.com")),
        Protocol::WhatsApp => Target::Account(Channel::WhatsApp, format!("+4915{number:08}")),
    };
    let (name, locale) = (format!("student{number}"), Locale::english());
    Leased {
        id: DeliveryId(number),
        notification: None,
        attempt: 1,
        failures: 0,
        cut_off: 0,
        addressee: Some(Addressee { id: UserId(number), name, locale }),
        target,
        account_link: None,
        contents: vec![content.clone()],
        with: Vec::new(),
        leased_until: Timestamp::MAX,
    }
}
