//! SQLite alone, as the hub's writer uses it: the upper bound of everything built on it.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

/// A connection with the settings of the hub's writer.
pub fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("a database");
    connection.set_prepared_statement_cache_capacity(256);
    for (name, value) in [
        ("foreign_keys", "on"),
        ("journal_mode", "wal"),
        ("synchronous", "full"),
        ("temp_store", "memory"),
        ("wal_autocheckpoint", "8000"),
        ("cache_size", "-65536"),
    ] {
        connection.pragma_update(None, name, value).expect("a setting");
    }
    connection
}

/// Writes the rows of this many ticket life cycles, `at_once` transitions per transaction, one
/// prepared statement per row; returns transitions per second. The admins receive a creation and
/// the last two transitions, the developer or the client all but the first.
pub fn lives(file: &Path, at_once: usize, lives: usize, admins: &[i64], others: [i64; 2]) -> f64 {
    let connection = open(file);
    let mut written = Written { next_message: 1, next_notification: 1 };
    let begun = Instant::now();
    let mut first = 1;
    while first <= lives {
        let last = (first + at_once - 1).min(lives);
        for step in 0..STEPS.len() {
            connection.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
            for ticket in first..=last {
                let ticket = i64::try_from(ticket).expect("few tickets");
                written.step(&connection, ticket, step, admins, others);
            }
            connection.execute_batch("COMMIT").expect("a commit");
        }
        first = last + 1;
    }
    let took = begun.elapsed().as_secs_f64();
    let history: i64 = connection
        .query_row("SELECT count(*) FROM ticket_history", (), |row| row.get(0))
        .expect("a count");
    let history = usize::try_from(history).expect("a count");
    assert_eq!(history, lives * STEPS.len(), "a line for each transition");
    #[allow(clippy::cast_precision_loss, reason = "a figure")]
    let transitions = history as f64;
    transitions / took
}

const STEPS: [(&str, &str); 6] = [
    ("ticket_created", "NEW"),
    ("ticket_opened", "OPEN"),
    ("ticket_assigned", "OPEN"),
    ("work_started", "IN_PROGRESS"),
    ("work_finished", "IN_REVIEW"),
    ("ticket_approved", "CLOSED"),
];

/// The ids that were given out.
struct Written {
    next_message: i64,
    next_notification: i64,
}

impl Written {
    fn step(
        &mut self,
        connection: &Connection,
        ticket: i64,
        step: usize,
        admins: &[i64],
        [developer, client]: [i64; 2],
    ) {
        let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            let mut statement = connection.prepare_cached(sql).expect("a statement");
            assert_eq!(statement.execute(values).expect("a row"), 1, "{sql}");
        };
        let (event, status) = STEPS[step];
        let version = i64::try_from(step + 1).expect("few steps");
        if step == 0 {
            run(
                "INSERT INTO tickets (id, project_id, number, title, description, priority, \
                 category, status, created_by, version, created_at, updated_at) \
                 VALUES (?, 1, ?, 'bench ticket', '', 'HIGH', 'BUG', 'NEW', ?, 1, 0, 0)",
                params![ticket, ticket, client],
            );
        } else {
            run(
                "UPDATE tickets SET status = ?, version = ?, updated_at = 0 \
                 WHERE id = ? AND version = ?",
                params![status, version, ticket, version - 1],
            );
        }
        if step == 2 {
            run(
                "INSERT INTO ticket_assignees (ticket_id, user_id, position) VALUES (?, ?, 0)",
                params![ticket, developer],
            );
        }
        run(
            "INSERT INTO ticket_history (ticket_id, version, action, from_status, to_status, \
             actor_id, actor_name, note, created_at) VALUES (?, ?, ?, NULL, ?, ?, 'x', '', 0)",
            params![ticket, version, event, status, client],
        );
        let message = self.next_message;
        self.next_message += 1;
        run(
            "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, ticket_id, \
             ticket, priority, created_at, copies) VALUES (?, ?, 'INFO', 'bench ticket', \
             'A ticket has moved on', '', '{}', ?, ?, 'HIGH', 0, 1)",
            params![message, event, ticket, TICKET],
        );
        let all = if matches!(step, 0 | 4 | 5) { admins } else { &[] };
        let one = [if step == 2 { developer } else { client }];
        let one: &[i64] = if step == 0 { &[] } else { &one };
        for recipient in all.iter().chain(one) {
            let id = self.next_notification;
            self.next_notification += 1;
            run(
                "INSERT INTO inboxes (user_id, last_seq, unread_count) VALUES (?, 1, 1) \
                 ON CONFLICT (user_id) DO UPDATE SET last_seq = last_seq + 1, \
                 unread_count = unread_count + 1",
                params![recipient],
            );
            run(
                "INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
                 SELECT user_id, last_seq, ?, last_seq, ? FROM inboxes WHERE user_id = ?",
                params![id, message, recipient],
            );
        }
    }
}

/// About as much as a message stores of its ticket.
const TICKET: &str = r#"{"id":1,"key":"TKT-1","title":"bench ticket","status":"OPEN","priority":"HIGH","category":"BUG","created_by":30,"created_by_name":"client0","assigned_to":[12],"version":3,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;
