//! Tickets and their history.

use bellpull_domain::ticket::{self, Status};
use bellpull_domain::user::User;
use bellpull_port::tickets::StoredEntry;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::times;
use crate::choices::{category, priority, ticket_status};

/// A ticket.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ticket {
    id: i64,
    /// The project's key and a number that counts up within the project.
    #[schema(examples("WEB-5"))]
    key: String,
    project: i64,
    project_name: String,
    title: String,
    description: String,
    #[schema(schema_with = priority)]
    priority: &'static str,
    priority_display: &'static str,
    #[schema(schema_with = category)]
    category: &'static str,
    category_display: &'static str,
    #[schema(schema_with = ticket_status)]
    status: &'static str,
    status_display: &'static str,
    created_by: i64,
    created_by_name: String,
    /// The developers' ids.
    assigned_to: Vec<i64>,
    /// Increases with each change.
    version: i64,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
    #[serde(serialize_with = "times::time")]
    updated_at: Timestamp,
}

impl From<ticket::Ticket> for Ticket {
    fn from(ticket: ticket::Ticket) -> Self {
        Self {
            id: ticket.id.0,
            key: ticket.key,
            project: ticket.project.0,
            project_name: ticket.project_name,
            title: ticket.title,
            description: ticket.description,
            priority: ticket.priority.as_str(),
            priority_display: ticket.priority.display(),
            category: ticket.category.as_str(),
            category_display: ticket.category.display(),
            status: ticket.status.as_str(),
            status_display: ticket.status.display(),
            created_by: ticket.created_by.0,
            created_by_name: ticket.created_by_name,
            assigned_to: ticket.assigned_to.into_iter().map(|id| id.0).collect(),
            version: ticket.version,
            created_at: ticket.created_at,
            updated_at: ticket.updated_at,
        }
    }
}

/// A developer of a ticket.
#[derive(Serialize, ToSchema)]
pub(crate) struct Assignee {
    id: i64,
    #[schema(value_type = String)]
    username: CompactString,
    /// The full name, or the username.
    #[schema(value_type = String)]
    name: CompactString,
}

impl From<&User> for Assignee {
    fn from(user: &User) -> Self {
        let name = if user.full_name.is_empty() { &user.username } else { &user.full_name };
        Self { id: user.id.0, username: user.username.clone(), name: name.clone() }
    }
}

/// An entry of a ticket's history.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryEntry {
    /// The ticket's version after it.
    version: i64,
    /// `create`, `edit`, `delete`, or a workflow action.
    action: String,
    /// Null for the first entry.
    #[schema(required)]
    from_status: Option<&'static str>,
    #[schema(required)]
    from_status_display: Option<&'static str>,
    #[schema(schema_with = ticket_status)]
    to_status: &'static str,
    to_status_display: &'static str,
    by: i64,
    by_name: String,
    note: String,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
}

impl From<StoredEntry> for HistoryEntry {
    fn from(entry: StoredEntry) -> Self {
        Self {
            version: entry.version,
            action: entry.action,
            from_status: entry.from.map(Status::as_str),
            from_status_display: entry.from.map(Status::display),
            to_status: entry.to.as_str(),
            to_status_display: entry.to.display(),
            by: entry.by.0,
            by_name: entry.by_name,
            note: entry.note,
            created_at: entry.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ids::{ProjectId, TicketId, UserId};
    use bellpull_domain::ticket::{Category, Priority};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ticket_has_the_keys_that_clients_read() {
        let at = "2025-12-24T10:30:00Z".parse().unwrap();
        let ticket = ticket::Ticket {
            id: TicketId(5),
            project: ProjectId(1),
            project_name: "Main Website".to_owned(),
            key: "WEB-5".to_owned(),
            title: "Homepage not loading".to_owned(),
            description: String::new(),
            priority: Priority::High,
            category: Category::Bug,
            status: Status::InProgress,
            created_by: UserId(7),
            created_by_name: "John Client".to_owned(),
            assigned_to: vec![UserId(9)],
            version: 4,
            created_at: at,
            updated_at: at,
        };
        let wanted = json!({
            "id": 5, "key": "WEB-5", "project": 1, "project_name": "Main Website",
            "title": "Homepage not loading", "description": "",
            "priority": "HIGH", "priority_display": "High",
            "category": "BUG", "category_display": "Bug",
            "status": "IN_PROGRESS", "status_display": "In Progress",
            "created_by": 7, "created_by_name": "John Client", "assigned_to": [9], "version": 4,
            "created_at": "2025-12-24T10:30:00.000Z", "updated_at": "2025-12-24T10:30:00.000Z"
        });
        assert_eq!(serde_json::to_value(Ticket::from(ticket)).unwrap(), wanted);
    }

    #[test]
    fn the_first_line_of_a_history_comes_from_nowhere() {
        let entry = StoredEntry {
            version: 1,
            action: "create".to_owned(),
            from: None,
            to: Status::New,
            by: UserId(7),
            by_name: "John Client".to_owned(),
            note: String::new(),
            at: "2025-12-24T10:30:00.25Z".parse().unwrap(),
        };
        let wanted = json!({
            "version": 1, "action": "create", "from_status": null, "from_status_display": null,
            "to_status": "NEW", "to_status_display": "New", "by": 7, "by_name": "John Client",
            "note": "", "created_at": "2025-12-24T10:30:00.250Z"
        });
        assert_eq!(serde_json::to_value(HistoryEntry::from(entry)).unwrap(), wanted);
    }
}
