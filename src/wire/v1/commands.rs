//! Messages of a `bellpull.v1` client.

use bellpull_domain::ids::{NotificationId, Seq};
use bellpull_domain::inbox::Mark;
use bellpull_domain::stream::{BadStream, Stream, StreamKind};
use bellpull_port::inbox::Selection;
use bellpull_port::session::{Ask, Asked, Heard, Tag, Token};
use serde_json::value::RawValue;

use crate::envelope::{self, BadFrame};
use crate::{Endpoint, fields, streams};

/// The longest name of a request, in characters: a UUID with a word before it.
const TAG_MAX: usize = 64;
/// The most rows that one mark names: what a screen shows; for more there are `up_to` and `all`.
const IDS_MAX: usize = 500;
/// The longest token, in characters: what HTTP servers accept in a header.
const TOKEN_MAX: usize = 8_192;

const KEYS: [&str; 11] = [
    "type",
    "timestamp",
    "id",
    "seq",
    "ids",
    "up_to",
    "all",
    "stream",
    "ticket_id",
    "is_typing",
    "token",
];

/// What a client's message is.
enum Message {
    Ping(Option<Box<RawValue>>),
    Ask(Ask),
}

/// Parses a client's message.
pub(super) fn decode(endpoint: Endpoint, text: &str) -> Result<Heard, BadFrame> {
    let [kind, timestamp, id, seq, ids, up_to, all, stream, ticket_id, is_typing, token] =
        envelope::read(text, KEYS)?;
    let tag = tag(id)?;
    let command = Command { endpoint, seq, ids, up_to, all, stream, ticket_id, is_typing, token };
    let asked = envelope::name(kind).and_then(|name| match name.as_ref() {
        "ping" => fields::echo("timestamp", timestamp).map(Message::Ping),
        name => command.ask(name).map(Message::Ask),
    });
    match asked {
        Ok(Message::Ping(timestamp)) => Ok(Heard::Ping(timestamp)),
        Ok(Message::Ask(ask)) => Ok(Heard::Asked(Box::new(Asked { tag, ask }))),
        Err(bad) => Err(bad.tagged(tag)),
    }
}

fn tag(id: Option<&RawValue>) -> Result<Tag, BadFrame> {
    Ok(fields::text("id", id, TAG_MAX)?.map(String::into_boxed_str))
}

/// The keys of all commands.
struct Command<'t> {
    endpoint: Endpoint,
    seq: Option<&'t RawValue>,
    ids: Option<&'t RawValue>,
    up_to: Option<&'t RawValue>,
    all: Option<&'t RawValue>,
    stream: Option<&'t RawValue>,
    ticket_id: Option<&'t RawValue>,
    is_typing: Option<&'t RawValue>,
    token: Option<&'t RawValue>,
}

impl Command<'_> {
    fn ask(&self, name: &str) -> Result<Ask, BadFrame> {
        match (name, self.endpoint) {
            ("refresh", _) => {
                let token = fields::words("token", self.token, TOKEN_MAX)?;
                Ok(Ask::Refresh(Token(token.into_boxed_str())))
            }
            ("ticket_viewing", Endpoint::Notifications | Endpoint::Presence) => {
                streams::viewing(self.place()?, self.ticket_id)
            }
            ("user_typing", Endpoint::Notifications | Endpoint::Presence) => {
                streams::typing(self.place()?, self.ticket_id, self.is_typing)
            }
            (name, Endpoint::Notifications) => self.ask_of_inbox(name),
            (other, Endpoint::Tickets | Endpoint::Presence) => Err(BadFrame::unknown_type(other)),
        }
    }

    fn ask_of_inbox(&self, name: &str) -> Result<Ask, BadFrame> {
        match name {
            "ack" => Ok(Ask::Ack(position("seq", self.seq)?)),
            "read" => self.mark(Mark::Read),
            "unread" => self.mark(Mark::Unread),
            "delete" => self.mark(Mark::Delete),
            "subscribe" => Ok(Ask::Subscribe(self.stream()?)),
            "unsubscribe" => Ok(Ask::Unsubscribe(self.stream()?)),
            other => Err(BadFrame::unknown_type(other)),
        }
    }

    fn mark(&self, mark: Mark) -> Result<Ask, BadFrame> {
        let is_named = |value: Option<&RawValue>| value.is_some_and(|one| one.get() != "null");
        let selection = match [self.ids, self.up_to, self.all].map(is_named) {
            [true, false, false] => Selection::ids(ids(self.ids)?),
            [false, true, false] => Selection::up_to(position("up_to", self.up_to)?),
            [false, false, true] if fields::switch("all", self.all)? => Selection::all(),
            [false, false, true] => return Err(BadFrame::invalid("all", "nothing but true")),
            [false, false, false] => {
                let message = "One of the keys \"ids\", \"up_to\" and \"all\" must be there.";
                return Err(BadFrame::new("missing_field", message));
            }
            _ => {
                let message = "Only one of the keys \"ids\", \"up_to\" and \"all\" may be there.";
                return Err(BadFrame::new("invalid_field", message));
            }
        };
        Ok(Ask::Mark { selection, mark })
    }

    fn stream(&self) -> Result<Stream, BadFrame> {
        let name = fields::text("stream", self.stream, usize::MAX)?;
        let name = name.ok_or_else(|| BadFrame::missing("stream"))?;
        let wanted = "project:ID:tickets or project:ID:presence";
        name.parse().map_err(|BadStream| BadFrame::invalid("stream", wanted))
    }

    /// A user's activity, which other dialects send on a presence socket.
    fn place(&self) -> Result<Option<Stream>, BadFrame> {
        if self.endpoint == Endpoint::Presence {
            return Ok(None);
        }
        let stream = self.stream()?;
        match stream.kind {
            StreamKind::Presence => Ok(Some(stream)),
            StreamKind::Tickets => Err(BadFrame::invalid("stream", "project:ID:presence")),
        }
    }
}

fn position(key: &str, value: Option<&RawValue>) -> Result<Seq, BadFrame> {
    let seq = fields::number(key, value, &(0..=i64::MAX))?;
    seq.map(Seq).ok_or_else(|| BadFrame::missing(key))
}

fn ids(value: Option<&RawValue>) -> Result<Vec<NotificationId>, BadFrame> {
    let listed: Option<Vec<&RawValue>> =
        value.and_then(|written| serde_json::from_str(written.get()).ok());
    let ids = listed.filter(|listed| (1..=IDS_MAX).contains(&listed.len())).and_then(|listed| {
        let one = |id| fields::id("ids", Some(id)).ok().map(NotificationId);
        listed.into_iter().map(one).collect()
    });
    ids.ok_or_else(|| BadFrame::invalid("ids", format_args!("a list of 1 to {IDS_MAX} ids")))
}
