//! Encodes a notification as a frame in each dialect, beside `serde_json` of a struct with the same
//! content.
//!
//! `cargo bench --bench codec`. The first recipient's frame creates the shared text; every other
//! recipient's is a copy of it and two numbers, which is the cost of a fan-out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]

use std::hint::black_box;

use bellpull::wire::{Dialect, Endpoint, Texts, decode, encode};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Entry, MessageContent};
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::ticket::Priority;
use bellpull_port::outlet::Outgoing;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use serde::Serialize;

/// One buffer for all frames, as a session has.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Texts for Buffer {
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.0);
    }
}

#[derive(Serialize)]
struct Plain<'a> {
    notification_type: &'a str,
    message: &'a str,
    ticket: Option<()>,
    title: &'a str,
    timestamp: Timestamp,
    id: i64,
    seq: i64,
}

fn entry() -> Entry {
    let message = MessageContent::new(Message {
        event: Event::Other("general".into()),
        kind: Kind::Info,
        title: "Load".to_owned(),
        body: "x".repeat(270),
        action_url: String::new(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: Some(UserId(3)),
        priority: Priority::Medium,
        created_at: Timestamp::UNIX_EPOCH,
    });
    Entry { id: NotificationId(123_456), seq: Seq(17), is_read: false, message }
}

fn encoded(dialect: Dialect, entry: &Entry, out: &mut Buffer) {
    out.0.clear();
    let frame = Outgoing::Notification { entry, unread_count: 3 };
    encode(dialect, black_box(frame), || Timestamp::UNIX_EPOCH, out);
    assert!(!out.0.is_empty());
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let mut out = Buffer::default();
    group.bench_function("baseline: serde_json of a struct", |bencher| {
        let entry = entry();
        let message = &entry.message.message;
        bencher.iter(|| {
            out.0.clear();
            let plain = Plain {
                notification_type: message.event.as_str(),
                message: &message.body,
                ticket: None,
                title: &message.title,
                timestamp: message.created_at,
                id: entry.id.0,
                seq: entry.seq.0,
            };
            serde_json::to_writer(&mut out.0, black_box(&plain)).unwrap();
        });
    });
    for dialect in Dialect::ALL {
        group.bench_function(format!("{dialect}, first recipient"), |bencher| {
            let first = |entry| encoded(dialect, &entry, &mut out);
            bencher.iter_batched(entry, first, BatchSize::SmallInput);
        });
        group.bench_function(format!("{dialect}, every other"), |bencher| {
            let entry = entry();
            bencher.iter(|| encoded(dialect, &entry, &mut out));
        });
    }
    group.finish();
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let ack = r#"{"type":"ack","seq":18}"#;
    group.bench_function("baseline: serde_json to a value", |bencher| {
        bencher.iter(|| serde_json::from_str::<serde_json::Value>(black_box(ack)).unwrap());
    });
    group.bench_function("bellpull.v1, an ack", |bencher| {
        let decoded = || decode(Dialect::BellpullV1, Endpoint::Notifications, black_box(ack));
        assert!(decoded().is_ok());
        bencher.iter(decoded);
    });
    group.finish();
}

criterion_group!(benches, encoding, decoding);
criterion_main!(benches);
