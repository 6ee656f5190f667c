//! Events of projects' streams between nodes.

use std::sync::Arc;

use bellpull_domain::comment::Comment;
use bellpull_domain::ids::{CommentId, ProjectId, TicketId, UserId};
use bellpull_domain::presence::{Held, PresenceNews, PresenceReport};
use bellpull_domain::stream::{
    Person, SharedStreamEvent, StreamEvent, TicketAction, TicketLine, TicketNews,
};
use bellpull_domain::ticket::{Stakes, Status};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// [`TicketNews`] in JSON. These streams have no sequence and are nowhere stored, so an event is
/// sent whatever its size: a comment has 10,000 characters at most.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct News {
    event: Event,
    created_by: UserId,
    assigned_to: Vec<UserId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Ticket {
        action: Action,
        id: TicketId,
        key: String,
        title: String,
        status: Status,
        version: i64,
    },
    Comment {
        id: CommentId,
        ticket: TicketId,
        author: UserId,
        author_name: String,
        body: String,
        created_at_ms: i64,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Created,
    Updated,
    Deleted,
}

impl News {
    /// `None` for an event of presence, which has messages of its own.
    pub(super) fn of(news: &TicketNews) -> Option<Self> {
        let event = match &news.content.event {
            StreamEvent::Ticket { action, line } => Event::Ticket {
                action: match action {
                    TicketAction::Created => Action::Created,
                    TicketAction::Updated => Action::Updated,
                    TicketAction::Deleted => Action::Deleted,
                },
                id: line.id,
                key: line.key.clone(),
                title: line.title.clone(),
                status: line.status,
                version: line.version,
            },
            StreamEvent::Comment(comment) => Event::Comment {
                id: comment.id,
                ticket: comment.ticket,
                author: comment.author,
                author_name: comment.author_name.clone(),
                body: comment.body.clone(),
                created_at_ms: comment.created_at.as_millisecond(),
            },
            StreamEvent::Joined(_)
            | StreamEvent::Left(_)
            | StreamEvent::Viewing { .. }
            | StreamEvent::Typing { .. } => return None,
        };
        let Stakes { created_by, assigned_to } = news.stakes.clone();
        Some(Self { event, created_by, assigned_to })
    }

    pub(super) fn into_news(self, project: ProjectId) -> Option<TicketNews> {
        let Self { event, created_by, assigned_to } = self;
        let event = match event {
            Event::Ticket { action, id, key, title, status, version } => StreamEvent::Ticket {
                action: match action {
                    Action::Created => TicketAction::Created,
                    Action::Updated => TicketAction::Updated,
                    Action::Deleted => TicketAction::Deleted,
                },
                line: TicketLine { id, key, title, status, version },
            },
            Event::Comment { id, ticket, author, author_name, body, created_at_ms } => {
                let created_at = Timestamp::from_millisecond(created_at_ms).ok()?;
                let comment = Comment { id, ticket, author, author_name, body, created_at };
                StreamEvent::Comment(comment)
            }
        };
        let content = SharedStreamEvent::new(project, event);
        Some(TicketNews { content, stakes: Stakes { created_by, assigned_to } })
    }
}

/// [`PresenceNews`] in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PresenceDto {
    node: String,
    version: u64,
    report: Report,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Changed {
        user: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HeldDto>,
    },
    Alive,
    All {
        held: Vec<HeldDto>,
        is_first: bool,
        is_last: bool,
    },
    Asked {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct HeldDto {
    user: UserId,
    username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    viewing: Option<(u64, TicketId)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    typing: Vec<TicketId>,
}

impl From<&Held> for HeldDto {
    fn from(held: &Held) -> Self {
        Self {
            user: held.person.id,
            username: held.person.username.as_ref().to_owned(),
            viewing: held.viewing,
            typing: held.typing.clone(),
        }
    }
}

impl From<HeldDto> for Held {
    fn from(held: HeldDto) -> Self {
        let username: Arc<str> = held.username.into();
        let person = Person { id: held.user, username };
        Self { person, viewing: held.viewing, typing: held.typing }
    }
}

impl From<&PresenceNews> for PresenceDto {
    fn from(news: &PresenceNews) -> Self {
        let report = match &news.report {
            PresenceReport::Changed { user, held } => {
                Report::Changed { user: *user, held: held.as_ref().map(HeldDto::from) }
            }
            PresenceReport::Alive => Report::Alive,
            PresenceReport::All { held, is_first, is_last } => Report::All {
                held: held.iter().map(HeldDto::from).collect(),
                is_first: *is_first,
                is_last: *is_last,
            },
            PresenceReport::Asked { of } => {
                Report::Asked { of: of.as_ref().map(|node| node.as_ref().to_owned()) }
            }
        };
        Self { node: news.node.as_ref().to_owned(), version: news.version, report }
    }
}

impl From<PresenceDto> for PresenceNews {
    fn from(news: PresenceDto) -> Self {
        let report = match news.report {
            Report::Changed { user, held } => {
                PresenceReport::Changed { user, held: held.map(Held::from) }
            }
            Report::Alive => PresenceReport::Alive,
            Report::All { held, is_first, is_last } => PresenceReport::All {
                held: held.into_iter().map(Held::from).collect(),
                is_first,
                is_last,
            },
            Report::Asked { of } => PresenceReport::Asked { of: of.map(Arc::from) },
        };
        Self { node: news.node.into(), version: news.version, report }
    }
}
