//! A ticket and its history as JSON.

use bellpull_actors::domain::ticket::{Status, Ticket};
use bellpull_actors::port::tickets::StoredEntry;
use serde_json::{Value, json};

/// A ticket.
pub(super) fn ticket_json(ticket: &Ticket) -> Value {
    json!({
        "id": ticket.id,
        "key": ticket.key,
        "project": ticket.project,
        "project_name": ticket.project_name,
        "title": ticket.title,
        "description": ticket.description,
        "priority": ticket.priority.as_str(),
        "priority_display": ticket.priority.display(),
        "category": ticket.category.as_str(),
        "category_display": ticket.category.display(),
        "status": ticket.status.as_str(),
        "status_display": ticket.status.display(),
        "created_by": ticket.created_by,
        "created_by_name": ticket.created_by_name,
        "assigned_to": ticket.assigned_to,
        "version": ticket.version,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
    })
}

/// An entry of a ticket's history.
pub(super) fn entry_json(entry: &StoredEntry) -> Value {
    json!({
        "version": entry.version,
        "action": entry.action,
        "from_status": entry.from.map(Status::as_str),
        "from_status_display": entry.from.map(Status::display),
        "to_status": entry.to.as_str(),
        "to_status_display": entry.to.display(),
        "by": entry.by,
        "by_name": entry.by_name,
        "note": entry.note,
        "created_at": entry.at,
    })
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::ids::{ProjectId, TicketId, UserId};
    use bellpull_actors::domain::ticket::{Category, Priority};

    use super::*;

    #[test]
    fn a_ticket_has_the_keys_that_clients_read() {
        let at = "2025-12-24T10:30:00Z".parse().unwrap();
        let ticket = Ticket {
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
            "created_at": "2025-12-24T10:30:00Z", "updated_at": "2025-12-24T10:30:00Z"
        });
        assert_eq!(ticket_json(&ticket), wanted);
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
            "note": "", "created_at": "2025-12-24T10:30:00.25Z"
        });
        assert_eq!(entry_json(&entry), wanted);
    }
}
