//! Messages of an inbox client.
//!
//! Existing clients write `{"type":"send_notification",…,"type":"approval"}`: a browser keeps the
//! last of both keys, other clients send both. So a message with an unknown type is a notification
//! of that type if it has a recipient, a title and a text.

use bellpull_domain::ids::{NotificationId, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::Kind;
use bellpull_port::inbox::Selection;
use bellpull_port::session::{Ask, Asked, Heard, Note};
use serde_json::value::RawValue;

use crate::envelope::{self, BadFrame};
use crate::fields;

/// The length of a list if the client does not choose one.
const LIMIT_DEFAULT: u32 = 20;
/// The maximum length of a list, as over REST.
const LIMIT_MAX: u32 = 100;
/// The longest title, in characters, as over REST.
const TITLE_MAX: usize = 255;
/// The longest text, in characters, as over REST.
const MESSAGE_MAX: usize = 10_000;
/// The longest link, in characters: what all browsers accept.
const LINK_MAX: usize = 2_000;
/// The type of a notification whose sender gives none.
const TYPE_DEFAULT: &str = "general";

const SEND: &str = "send_notification";
const COMMANDS: [&str; 6] =
    ["ping", SEND, "get_notifications", "mark_read", "mark_all_read", "delete_notification"];

const KEYS: [&str; 11] = [
    "type",
    "timestamp",
    "notification_id",
    "limit",
    "offset",
    "user_id",
    "title",
    "message",
    "notification_type",
    "data",
    "link",
];

/// Parses a client's message.
pub(super) fn decode(text: &str) -> Result<Heard, BadFrame> {
    let envelope::Object { values, again, has_more } = envelope::scan(text, KEYS)?;
    let [kind, timestamp, id, limit, offset, user_id, title, message, named, data, link] = values;
    let draft = Draft { user_id, title, message, data, link };
    let name = envelope::name(kind)?;
    if let Some((key, second)) = again {
        if key != "type" || has_more {
            return Err(BadFrame::twice(key));
        }
        let second = envelope::name(Some(second))?;
        let own = of_two(&name, &second).ok_or_else(|| BadFrame::twice(key))?;
        return draft.note("type", own).map(asked);
    }
    let ask = match name.as_ref() {
        "ping" => return fields::echo("timestamp", timestamp).map(Heard::Ping),
        SEND => {
            let own = fields::text("notification_type", named, usize::MAX)?;
            draft.note("notification_type", own.as_deref().unwrap_or(TYPE_DEFAULT))?
        }
        "get_notifications" => Ask::List {
            limit: fields::number("limit", limit, &(1..=LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT),
            offset: fields::number("offset", offset, &(0..=u32::MAX))?.unwrap_or(0),
        },
        "mark_read" => Ask::Mark { selection: one(id)?, mark: Mark::Read },
        "mark_all_read" => {
            let selection = Selection::all();
            Ask::Mark { selection, mark: Mark::Read }
        }
        "delete_notification" => Ask::Mark { selection: one(id)?, mark: Mark::Delete },
        own if draft.is_whole() => draft.note("type", own)?,
        other => return Err(BadFrame::unknown_type(other)),
    };
    Ok(asked(ask))
}

fn asked(ask: Ask) -> Heard {
    Heard::Asked(Box::new(Asked { tag: None, ask }))
}

fn one(id: Option<&RawValue>) -> Result<Selection, BadFrame> {
    Ok(Selection::ids(vec![NotificationId(fields::id("notification_id", id)?)]))
}

/// Of two types, the notification's own: the one beside the command to send it.
fn of_two<'n>(first: &'n str, second: &'n str) -> Option<&'n str> {
    let own = match (first, second) {
        (SEND, own) | (own, SEND) => own,
        _ => return None,
    };
    // With two commands it is unclear which one was meant.
    (!COMMANDS.contains(&own)).then_some(own)
}

/// The keys of a notification.
struct Draft<'t> {
    user_id: Option<&'t RawValue>,
    title: Option<&'t RawValue>,
    message: Option<&'t RawValue>,
    data: Option<&'t RawValue>,
    link: Option<&'t RawValue>,
}

impl Draft<'_> {
    fn is_whole(&self) -> bool {
        self.user_id.is_some() && self.title.is_some() && self.message.is_some()
    }

    /// The notification; its type is the value of `key`.
    fn note(&self, key: &str, own_type: &str) -> Result<Ask, BadFrame> {
        Ok(Ask::Send(Box::new(Note {
            to: UserId(fields::id("user_id", self.user_id)?),
            title: fields::words("title", self.title, TITLE_MAX)?,
            message: fields::words("message", self.message, MESSAGE_MAX)?,
            event: fields::event_name(key, own_type)?,
            kind: Kind::named(own_type),
            link: fields::text("link", self.link, LINK_MAX)?.unwrap_or_default(),
            data: fields::object("data", self.data)?.unwrap_or_default(),
        })))
    }
}
