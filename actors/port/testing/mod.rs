//! Fakes of the ports, for tests only: a store in memory, a clock, and recording outlets.
//!
//! A test never sleeps for a result: it waits until a probe or the store shows the expected state.

mod broker;
mod clock;
mod comments;
mod inboxes;
mod kept_sends;
mod limits;
mod outbox;
mod outlet;
mod projects;
mod retention;
mod sender;
mod sends;
mod store;
mod tickets;

pub use broker::{FakeBroker, FakeNet};
pub use clock::FakeClock;
pub use limits::FakeLimits;
pub use outbox::{DIGEST, FakeDelivery, FakeOutbox};
pub use outlet::{FakeOutlet, Frame, Probe, Seen};
pub use sender::{FakeSender, Reaction};
pub use store::{FakeStore, Mode, Op};

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Map;

use bellpull_domain::event::Event;
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::ticket::Priority;

/// A message content with this body.
#[must_use]
pub fn content(body: &str) -> Arc<MessageContent> {
    MessageContent::new(Message {
        event: Event::Other("test".into()),
        kind: Kind::Info,
        title: "A test".to_owned(),
        body: body.to_owned(),
        action_url: String::new(),
        metadata: Map::new(),
        ticket: None,
        sender: None,
        priority: Priority::Medium,
        created_at: Timestamp::UNIX_EPOCH,
    })
}
