//! Projects, members, comments.

use std::ops::Range;

use super::{Assignee, times};
use bellpull_domain::{comment, ticket, user};
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A project.
#[derive(Serialize, ToSchema)]
pub(crate) struct Project {
    id: i64,
    /// The prefix of its tickets' keys.
    #[schema(examples("WEB"))]
    key: String,
    name: String,
    /// Whether every user may raise tickets in it; it then has no list of members.
    is_open: bool,
}

impl From<ticket::Project> for Project {
    fn from(project: ticket::Project) -> Self {
        Self { id: project.id.0, key: project.key, name: project.name, is_open: project.is_open }
    }
}

/// A member, as other members see it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    id: i64,
    #[schema(value_type = String)]
    username: CompactString,
    #[schema(value_type = String)]
    full_name: CompactString,
    #[schema(value_type = String)]
    role: CompactString,
    is_active: bool,
}

// Without e-mail address and telephone number.
impl From<user::User> for Member {
    fn from(user: user::User) -> Self {
        Self {
            id: user.id.0,
            role: user.role.as_str().into(),
            username: user.username,
            full_name: user.full_name,
            is_active: user.is_active,
        }
    }
}

/// A comment on a ticket.
// With the keys that it has on a project's stream, and its ticket.
#[derive(Serialize, ToSchema)]
pub(crate) struct Comment {
    id: i64,
    ticket: i64,
    /// The author's name.
    author: String,
    author_id: i64,
    body: String,
    /// Who is mentioned, and where: those whom it would notify now.
    mentions: Vec<Mentioned>,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
}

/// A mention in a comment, by the places of its characters from 0, its `@` among them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mentioned {
    /// The account.
    user: i64,
    start: usize,
    /// The place after its last character.
    end: usize,
}

/// Who may be mentioned.
#[derive(Serialize, ToSchema, Default)]
pub(crate) struct Mentionable {
    /// What is typed after the `@` at the end of the text.
    typed: String,
    results: Vec<Assignee>,
}

impl Mentionable {
    pub(crate) fn new(typed: &str, users: &[user::User]) -> Self {
        Self { typed: typed.to_owned(), results: users.iter().map(Assignee::from).collect() }
    }
}

impl Comment {
    pub(crate) fn new(comment: comment::Comment, mentions: comment::Mentioned) -> Self {
        let mentions = mentions.into_iter();
        Self {
            mentions: mentions
                .map(|(user, Range { start, end })| Mentioned { user: user.0, start, end })
                .collect(),
            id: comment.id.0,
            ticket: comment.ticket.0,
            author: comment.author_name,
            author_id: comment.author.0,
            body: comment.body,
            created_at: comment.created_at,
        }
    }
}

/// What the removal of a member has changed besides.
#[derive(Serialize, ToSchema)]
pub(crate) struct Removed {
    /// The ids of the open tickets that the user was taken off.
    pub(crate) unassigned: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ids::{CommentId, TicketId, UserId};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_comment_has_the_keys_that_clients_read() {
        let comment = comment::Comment {
            id: CommentId(9),
            ticket: TicketId(5),
            author: UserId(7),
            author_name: "John Client".to_owned(),
            body: "Any news?".to_owned(),
            created_at: "2025-12-24T10:30:00Z".parse().unwrap(),
        };
        let wanted = json!({"id": 9, "ticket": 5, "author": "John Client", "author_id": 7,
            "body": "Any news?", "mentions": [{"user": 8, "start": 0, "end": 4}],
            "created_at": "2025-12-24T10:30:00.000Z"});
        let comment = Comment::new(comment, vec![(UserId(8), 0..4)]);
        assert_eq!(serde_json::to_value(comment).unwrap(), wanted);
    }
}
