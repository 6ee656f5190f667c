//! A message between nodes as bytes: a line with the format's version, a line with the sender, and
//! JSON.
//!
//! Nodes of two releases run side by side during a deploy. Within a version only optional fields
//! may be added, and the two lines stay as they are in every version: a node must be able to
//! recognise its own messages. A message that a node cannot read is to it [`Received::Unknown`]: it
//! compares with the store, as if the message had no content.

use std::sync::Arc;

use bellpull_domain::ids::{LoginId, NotificationId, ProjectId, Seq, UserId};
use bellpull_domain::inbox::{Change, MARKED_MAX, Mark, Marked, MessageContent};
use bellpull_domain::presence::PresenceNews;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::stream::TicketNews;
use bellpull_port::BrokerMessage;
use bellpull_port::outlet::{Revoked, TokenEnd};
use bellpull_port::tickets::{AnnouncedMessage, InboxEntry};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::contents::Content;
use super::streams::{News, PresenceDto};

/// The format's version.
const VERSION: &[u8] = b"1";

/// The largest content in a message. A larger one is in the store: the receivers that have one of
/// its recipients read it there, so that Redis does not copy it to nodes without any.
const CONTENT_MAX: usize = 4 * 1024;

/// The most recipients in a message, 100 KiB of it; an announcement to more of them is several.
const ENTRIES_MAX: usize = 4_096;

/// Longer than a beat with its seal.
const BEAT_BYTES_MAX: usize = 192;

/// A message's JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Body {
    /// New entries of one content.
    Announced {
        /// Recipient, notification, number, unread count.
        entries: Vec<(UserId, NotificationId, Seq, i64)>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        channels: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Box<Content>>,
    },
    Marked {
        user: UserId,
        mark: MarkName,
        ids: Vec<NotificationId>,
        first: Seq,
        last: Seq,
        unread_count: i64,
    },
    Moved {
        heads: Vec<(UserId, Seq)>,
    },
    News {
        project: ProjectId,
        news: News,
    },
    Presence {
        project: ProjectId,
        news: PresenceDto,
    },
    MemberRemoved {
        project: ProjectId,
        user: UserId,
    },
    SessionsEnded {
        user: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<LoginId>,
        why: Why,
    },
    LoginEnded {
        login: LoginId,
        until_ms: i64,
    },
    AccountChanged {
        user: UserId,
    },
    TemplatesChanged,
    ChannelsDue {
        channels: Vec<String>,
    },
    /// The sender could not send all that it had to.
    Lost,
    /// The sender listens for its own: it then knows that messages arrive.
    Beat {
        number: u64,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MarkName {
    Read,
    Unread,
    Delete,
}

/// [`Revoked`] in JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    Expired,
    LoggedOut,
    Revoked,
    PasswordChanged,
    PasswordReset,
    Right,
    Role,
}

/// A message that was read.
#[derive(Debug)]
pub(super) enum Received {
    /// This node's own.
    Own {
        /// The number, if it is a beat.
        beat: Option<u64>,
    },
    /// New entries.
    Announced(AnnouncedMessage),
    /// A change of one inbox.
    Changed(UserId, Change),
    /// Inboxes have reached these numbers, and these channels have deliveries to make.
    Moved(Vec<(UserId, Seq)>, Channels),
    /// A project's event.
    News(ProjectId, TicketNews),
    /// A project's presence.
    Presence(ProjectId, PresenceNews),
    /// Needs nothing that is lent: what it is, is the message.
    Plain(BrokerMessage<'static>),
    /// Another node's beat.
    Beat,
    /// Of a version or kind that this release does not know.
    Unknown,
}

/// The bytes to send for a message: nearly always one; none if it is only for this node.
pub(super) fn encode(node: &str, message: BrokerMessage<'_>) -> Vec<Vec<u8>> {
    if let BrokerMessage::Announced(announced) = message {
        return encode_announced(node, announced);
    }
    body(message).map(|body| write(node, &body)).into_iter().collect()
}

/// The sender, on the second line.
pub(super) fn sender(bytes: &[u8]) -> Option<&[u8]> {
    bytes.splitn(3, |byte| *byte == b'\n').nth(1)
}

/// Whether it is a beat, as far as its first bytes tell: it has nothing that could be missed.
pub(super) fn is_beat(bytes: &[u8]) -> bool {
    let json = bytes.splitn(3, |byte| *byte == b'\n').nth(2);
    json.is_some_and(|json| json.starts_with(b"{\"kind\":\"beat\""))
}

/// A beat of this node.
pub(super) fn beat(node: &str, number: u64) -> Vec<u8> {
    write(node, &Body::Beat { number })
}

/// This node's messages were lost.
pub(super) fn lost(node: &str) -> Vec<u8> {
    write(node, &Body::Lost)
}

fn write(node: &str, body: &Body) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(VERSION);
    bytes.push(b'\n');
    bytes.extend_from_slice(node.as_bytes());
    bytes.push(b'\n');
    // Writing to memory fails for no value of these types.
    if let Err(error) = serde_json::to_writer(&mut bytes, body) {
        tracing::error!(%error, "a message to the other nodes could not be written");
    }
    bytes
}

fn encode_announced(node: &str, announced: &AnnouncedMessage) -> Vec<Vec<u8>> {
    let content = content(&announced.content);
    let mut channels = names(announced.channels);
    if announced.entries.is_empty() {
        return match channels.is_empty() {
            true => Vec::new(),
            false => vec![write(node, &Body::ChannelsDue { channels })],
        };
    }
    let chunks = announced.entries.chunks(ENTRIES_MAX).map(|entries| {
        let row = |one: &InboxEntry| (one.recipient, one.id, one.seq, one.unread_count);
        write(
            node,
            &Body::Announced {
                entries: entries.iter().map(row).collect(),
                channels: std::mem::take(&mut channels), // one nudge is enough
                content: content.clone().map(Box::new),
            },
        )
    });
    chunks.collect()
}

/// The content, if it is small enough to be sent.
fn content(content: &MessageContent) -> Option<Content> {
    (content.message.bytes() <= CONTENT_MAX).then(|| Content::from(&content.message))
}

fn body(message: BrokerMessage<'_>) -> Option<Body> {
    Some(match message {
        BrokerMessage::Changed { user, change } => changed(user, change),
        BrokerMessage::Moved(heads) => Body::Moved { heads: heads.to_vec() },
        BrokerMessage::ProjectNews { project, news } => {
            Body::News { project, news: News::of(news)? }
        }
        BrokerMessage::Presence { project, news } => {
            Body::Presence { project, news: PresenceDto::from(news) }
        }
        BrokerMessage::MemberRemoved { project, user } => Body::MemberRemoved { project, user },
        BrokerMessage::SessionsEnded { user, login, why } => {
            Body::SessionsEnded { user, login, why: why.into() }
        }
        BrokerMessage::LoginEnded { login, until } => {
            Body::LoginEnded { login, until_ms: until.as_millisecond() }
        }
        BrokerMessage::AccountChanged(user) => Body::AccountChanged { user },
        BrokerMessage::TemplatesChanged => Body::TemplatesChanged,
        BrokerMessage::ChannelsDue(channels) => Body::ChannelsDue { channels: names(channels) },
        // The first is encoded elsewhere; the others are for a broker's own subscribers.
        BrokerMessage::Announced(_) | BrokerMessage::Compare | BrokerMessage::Missed => {
            return None;
        }
    })
}

fn changed(user: UserId, change: &Change) -> Body {
    match change {
        Change::Added { entry, unread_count } if !entry.is_read => Body::Announced {
            entries: vec![(user, entry.id, entry.seq, *unread_count)],
            channels: Vec::new(),
            content: content(&entry.message).map(Box::new),
        },
        Change::Marked(marked) if marked.ids.len() <= MARKED_MAX => Body::Marked {
            user,
            mark: match marked.mark {
                Mark::Read => MarkName::Read,
                Mark::Unread => MarkName::Unread,
                Mark::Delete => MarkName::Delete,
            },
            ids: marked.ids.to_vec(),
            first: marked.first,
            last: marked.last,
            unread_count: marked.unread_count,
        },
        Change::Added { .. } | Change::Marked(_) => {
            Body::Moved { heads: vec![(user, change.last())] }
        }
    }
}

/// Reads a message. It never fails: see [`Received::Unknown`].
pub(super) fn decode(node: &str, bytes: &[u8]) -> Received {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let (Some(version), Some(sender), Some(json)) = (lines.next(), lines.next(), lines.next())
    else {
        return Received::Unknown;
    };
    let is_own = sender == node.as_bytes();
    // Of its own, only beats are of interest: they are short.
    if is_own && json.len() > BEAT_BYTES_MAX {
        return Received::Own { beat: None };
    }
    let body = match version == VERSION {
        true => serde_json::from_slice::<Body>(json).ok(),
        false => None,
    };
    match (is_own, body) {
        (true, Some(Body::Beat { number })) => Received::Own { beat: Some(number) },
        (true, _) => Received::Own { beat: None },
        (false, Some(body)) => read(body).unwrap_or(Received::Unknown),
        (false, None) => Received::Unknown,
    }
}

fn read(body: Body) -> Option<Received> {
    Some(match body {
        Body::Announced { entries, channels, content } => announced(entries, &channels, content)?,
        Body::Marked { user, mark, ids, first, last, unread_count } => {
            let mark = match mark {
                MarkName::Read => Mark::Read,
                MarkName::Unread => Mark::Unread,
                MarkName::Delete => Mark::Delete,
            };
            // Each row takes one number.
            let count = i64::try_from(ids.len()).ok()?;
            if count == 0 || first.0 < 1 || first.0.checked_add(count - 1) != Some(last.0) {
                return None;
            }
            let ids: Arc<[NotificationId]> = ids.into();
            Received::Changed(user, Change::Marked(Marked { mark, ids, first, last, unread_count }))
        }
        Body::Moved { heads } => Received::Moved(heads, Channels::NONE),
        Body::News { project, news } => Received::News(project, news.into_news(project)?),
        Body::Presence { project, news } => Received::Presence(project, news.into()),
        Body::MemberRemoved { project, user } => {
            Received::Plain(BrokerMessage::MemberRemoved { project, user })
        }
        Body::SessionsEnded { user, login, why } => {
            Received::Plain(BrokerMessage::SessionsEnded { user, login, why: why.into() })
        }
        Body::LoginEnded { login, until_ms } => {
            let until = Timestamp::from_millisecond(until_ms).ok()?;
            Received::Plain(BrokerMessage::LoginEnded { login, until })
        }
        Body::AccountChanged { user } => Received::Plain(BrokerMessage::AccountChanged(user)),
        Body::TemplatesChanged => Received::Plain(BrokerMessage::TemplatesChanged),
        Body::ChannelsDue { channels } => {
            Received::Plain(BrokerMessage::ChannelsDue(set(&channels)))
        }
        Body::Lost => Received::Plain(BrokerMessage::Missed),
        Body::Beat { .. } => Received::Beat,
    })
}

fn announced(
    entries: Vec<(UserId, NotificationId, Seq, i64)>,
    channels: &[String],
    content: Option<Box<Content>>,
) -> Option<Received> {
    let Some(content) = content else {
        let heads = entries.iter().map(|(user, _, seq, _)| (*user, *seq)).collect();
        return Some(Received::Moved(heads, set(channels)));
    };
    let content = MessageContent::new(content.into_message()?);
    let entry =
        |(recipient, id, seq, unread_count)| InboxEntry { recipient, id, seq, unread_count };
    let entries = entries.into_iter().map(entry).collect();
    Some(Received::Announced(AnnouncedMessage { content, entries, channels: set(channels) }))
}

fn names(channels: Channels) -> Vec<String> {
    channels.outgoing().map(|channel| channel.as_str().to_owned()).collect()
}

/// Channels that this release does not know have no deliveries here.
fn set(names: &[String]) -> Channels {
    let known = names.iter().filter_map(|name| Channel::from_name(name));
    known.fold(Channels::NONE, Channels::with)
}

impl From<Revoked> for Why {
    fn from(revoked: Revoked) -> Self {
        match revoked {
            Revoked::Token(TokenEnd::Expired) => Self::Expired,
            Revoked::Token(TokenEnd::LoggedOut) => Self::LoggedOut,
            Revoked::Token(TokenEnd::Revoked) => Self::Revoked,
            Revoked::Token(TokenEnd::PasswordChanged) => Self::PasswordChanged,
            Revoked::Token(TokenEnd::PasswordReset) => Self::PasswordReset,
            Revoked::Right => Self::Right,
            Revoked::Role => Self::Role,
        }
    }
}

impl From<Why> for Revoked {
    fn from(why: Why) -> Self {
        match why {
            Why::Expired => Self::Token(TokenEnd::Expired),
            Why::LoggedOut => Self::Token(TokenEnd::LoggedOut),
            Why::Revoked => Self::Token(TokenEnd::Revoked),
            Why::PasswordChanged => Self::Token(TokenEnd::PasswordChanged),
            Why::PasswordReset => Self::Token(TokenEnd::PasswordReset),
            Why::Right => Self::Right,
            Why::Role => Self::Role,
        }
    }
}
