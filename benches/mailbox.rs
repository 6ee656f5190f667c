//! An actor's mailbox, beside a plain bounded `tokio::mpsc` with a task behind it.
//!
//! `cargo bench --bench mailbox`. Another task sends this many messages to one actor; the time ends
//! when the last was handled. Then one call and its reply.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{mpsc, oneshot};

/// Messages per round: about as many as a fan-out sends to one shard.
const MESSAGES: u64 = 10_000;

struct Counter;

enum Message {
    Add(u64),
    Sum(RpcReplyPort<u64>),
}

enum Plain {
    Add(u64),
    Sum(oneshot::Sender<u64>),
}

impl Actor for Counter {
    type Msg = Message;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Add(n) => *sum += n,
            // The caller may be gone.
            Message::Sum(reply) => drop(reply.send(std::mem::take(sum))),
        }
        Ok(())
    }
}

async fn plain(mut queue: mpsc::Receiver<Plain>) {
    let mut sum = 0;
    while let Some(message) = queue.recv().await {
        match message {
            Plain::Add(n) => sum += n,
            Plain::Sum(reply) => drop(reply.send(std::mem::take(&mut sum))),
        }
    }
}

fn mailbox(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (actor, _) = runtime.block_on(Actor::spawn(None, Counter, ())).unwrap();
    let (queue, receiver) = mpsc::channel(usize::try_from(MESSAGES).unwrap());
    runtime.spawn(plain(receiver));
    for (name, messages) in [("10,000 messages", MESSAGES), ("one question", 0)] {
        let mut group = criterion.benchmark_group(format!("mailbox, {name}"));
        group.throughput(Throughput::Elements(messages.max(1)));
        group.bench_function("baseline: tokio::mpsc", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    for n in 0..messages {
                        queue.send(Plain::Add(black_box(n))).await.unwrap_or_else(|_| panic!());
                    }
                    let (reply, sum) = oneshot::channel();
                    queue.send(Plain::Sum(reply)).await.unwrap_or_else(|_| panic!());
                    assert_eq!(sum.await.unwrap(), messages * messages.saturating_sub(1) / 2);
                });
            });
        });
        group.bench_function("actor", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    for n in 0..messages {
                        actor.cast(Message::Add(black_box(n))).unwrap();
                    }
                    let sum = ractor::call!(actor, Message::Sum).unwrap();
                    assert_eq!(sum, messages * messages.saturating_sub(1) / 2);
                });
            });
        });
        group.finish();
    }
}

criterion_group!(benches, mailbox);
criterion_main!(benches);
