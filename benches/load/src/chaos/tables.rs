//! What the database's tables hold: read once the nodes have ended, with SQL of this tool's own, so
//! that a node's memory cannot stand for what it wrote.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::check::{self, Facts, Inbox, InboxRow, TicketFacts};
use super::finding::{Findings, Wrong};
use super::ledger::Ledger;
use crate::LoadError;

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// What the checker compares.
    facts: Facts,
    /// The ids of tickets, by title.
    titles: HashMap<String, Vec<u64>>,
    /// How many sends there are, by title, and how many of them are done.
    sends: HashMap<String, (u64, u64)>,
    /// How many rows were read.
    pub(super) rows: u64,
}

/// A connection to either store.
enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    async fn open(url: &str) -> Result<Self, sqlx::Error> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)?;
            return Ok(Self::Sqlite(options.connect().await?));
        }
        Ok(Self::Postgres(PgConnection::connect(url).await?))
    }

    /// The rows of a query, each an array of its columns' values.
    async fn rows(&mut self, columns: &str, rest: &str) -> Result<Vec<Value>, sqlx::Error> {
        let texts: Vec<String> = match self {
            Self::Sqlite(connection) => {
                let sql = format!("SELECT json_array({columns}) {rest}");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await?
            }
            Self::Postgres(connection) => {
                let sql = format!("SELECT json_build_array({columns})::text {rest}");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await?
            }
        };
        let parsed = texts.iter().map(|text| serde_json::from_str(text));
        parsed.collect::<Result<_, _>>().map_err(|error| sqlx::Error::Decode(error.into()))
    }
}

impl Tables {
    /// Reads them.
    ///
    /// # Errors
    /// The database could not be read.
    pub(super) async fn read(url: &str) -> Result<Self, LoadError> {
        let read = async {
            let mut database = Database::open(url).await?;
            let mut tables = Self::default();
            tables.tickets(&mut database).await?;
            tables.inboxes(&mut database).await?;
            tables.sends(&mut database).await?;
            Ok::<_, sqlx::Error>(tables)
        };
        read.await.map_err(|error| LoadError::failed(format!("the tables: {error}")))
    }

    async fn tickets(&mut self, database: &mut Database) -> Result<(), sqlx::Error> {
        let rows = self.count(database.rows("id, title, created_by", "FROM tickets").await?);
        for row in rows {
            let id = number(&row, 0);
            self.titles.entry(text(&row, 1)).or_default().push(id);
            let ticket = TicketFacts { creator: number(&row, 2), ..TicketFacts::default() };
            self.facts.tickets.insert(id, ticket);
        }
        let columns = "ticket_id, version, action, actor_id";
        let rest = "FROM ticket_history ORDER BY ticket_id, version";
        for row in self.count(database.rows(columns, rest).await?) {
            let entry = (number(&row, 1), text(&row, 2), number(&row, 3));
            self.ticket(&row).history.push(entry);
        }
        let rest = "FROM comments ORDER BY ticket_id, created_at, id";
        for row in self.count(database.rows("ticket_id, body", rest).await?) {
            let body = text(&row, 1);
            self.ticket(&row).comments.push(body);
        }
        let rest = "FROM ticket_assignees ORDER BY ticket_id, position";
        for row in self.count(database.rows("ticket_id, user_id", rest).await?) {
            let user = number(&row, 1);
            self.ticket(&row).assigned_to.push(user);
        }
        Ok(())
    }

    async fn inboxes(&mut self, database: &mut Database) -> Result<(), sqlx::Error> {
        let columns = "user_id, last_seq, unread_count";
        for row in self.count(database.rows(columns, "FROM inboxes").await?) {
            let (head, unread_count) = (number(&row, 1), number(&row, 2));
            let inbox = Inbox { head, unread_count, ..Inbox::default() };
            self.facts.inboxes.insert(number(&row, 0), inbox);
        }
        let columns = "n.recipient_id, n.seq, n.id, m.event, m.title, m.ticket_id, t.title, \
                       CASE WHEN n.read_at IS NULL THEN 0 ELSE 1 END";
        let rest = "FROM notifications n JOIN messages m ON m.id = n.message_id \
                    LEFT JOIN tickets t ON t.id = m.ticket_id \
                    WHERE n.deleted_at IS NULL ORDER BY n.recipient_id, n.seq";
        for row in self.count(database.rows(columns, rest).await?) {
            let notification = InboxRow {
                seq: number(&row, 1),
                id: number(&row, 2),
                event: text(&row, 3),
                title: text(&row, 4),
                ticket: row[5].as_u64(),
                ticket_title: text(&row, 6),
                is_read: number(&row, 7) == 1,
            };
            self.facts.inboxes.entry(number(&row, 0)).or_default().rows.push(notification);
        }
        Ok(())
    }

    async fn sends(&mut self, database: &mut Database) -> Result<(), sqlx::Error> {
        let rest = "FROM sends s JOIN messages m ON m.id = s.message_id";
        for row in self.count(database.rows("m.title, s.status", rest).await?) {
            let (all, done) = self.sends.entry(text(&row, 0)).or_default();
            *all += 1;
            *done += u64::from(row[1] == "DONE");
        }
        Ok(())
    }

    fn count(&mut self, rows: Vec<Value>) -> Vec<Value> {
        self.rows += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        rows
    }

    fn ticket(&mut self, row: &Value) -> &mut TicketFacts {
        self.facts.tickets.entry(number(row, 0)).or_default()
    }

    /// Compares them with what was acknowledged, and with what the nodes said.
    pub(super) fn check(&self, ledger: &Ledger, said: &Facts, findings: &mut Findings) {
        let mut found = Findings::default();
        for ticket in &ledger.tickets {
            let ids = self.titles.get(&ticket.title).map(Vec::as_slice).unwrap_or_default();
            let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
            found.compare(count, ticket.created.once(), || format!("ticket {}", ticket.title));
            if let Some(id) = ticket.id.filter(|id| !ids.is_empty() && !ids.contains(id)) {
                found.add(Wrong::Lost, || format!("ticket {} is {ids:?}, not {id}", ticket.title));
            }
        }
        for send in &ledger.sends {
            let (all, done) = self.sends.get(&send.title).copied().unwrap_or_default();
            found.compare(all, send.asked.once(), || format!("send {}", send.title));
            if done < all {
                found.add(Wrong::Lost, || format!("send {} is not done", send.title));
            }
        }
        let facts = Facts { admins: said.admins.clone(), may_leap: said.may_leap, ..self.of(said) };
        found.merge(check::check(ledger, &facts));
        self.compare(said, &mut found);
        findings.merge(found.named("in the tables: "));
    }

    /// The inboxes that the nodes were asked for, and all tickets.
    fn of(&self, said: &Facts) -> Facts {
        let inboxes = said.inboxes.keys();
        let inboxes =
            inboxes.filter_map(|user| Some((*user, self.facts.inboxes.get(user)?.clone())));
        Facts {
            inboxes: inboxes.collect(),
            tickets: self.facts.tickets.clone(),
            admins: Vec::new(),
            may_leap: false,
        }
    }

    /// What the nodes said is what the tables hold.
    fn compare(&self, said: &Facts, findings: &mut Findings) {
        for (user, inbox) in &said.inboxes {
            let stored = self.facts.inboxes.get(user).cloned().unwrap_or_default();
            if (stored.head, stored.unread_count) != (inbox.head, inbox.unread_count) {
                findings.add(Wrong::Lost, || {
                    format!(
                        "inbox of user {user}: head {}, {} unread, of which a node said {} and {}",
                        stored.head, stored.unread_count, inbox.head, inbox.unread_count
                    )
                });
            }
            let key = |row: &InboxRow| (row.seq, (row.id, row.event.clone(), row.is_read));
            let stored: BTreeMap<_, _> = stored.rows.iter().map(key).collect();
            let shown: BTreeMap<_, _> = inbox.rows.iter().map(key).collect();
            let numbers: HashSet<&u64> = stored.keys().chain(shown.keys()).collect();
            for seq in numbers.into_iter().filter(|seq| stored.get(seq) != shown.get(seq)) {
                findings.add(Wrong::Lost, || {
                    format!(
                        "inbox of user {user}: number {seq} is {:?}, of which a node said {:?}",
                        stored.get(seq),
                        shown.get(seq)
                    )
                });
            }
        }
        for (id, ticket) in &said.tickets {
            if self.facts.tickets.get(id) != Some(ticket) {
                findings.add(Wrong::Lost, || {
                    let stored = self.facts.tickets.get(id);
                    format!("ticket {id} is {stored:?}, of which a node said {ticket:?}")
                });
            }
        }
    }
}

fn number(row: &Value, column: usize) -> u64 {
    row[column].as_u64().unwrap_or_default()
}

fn text(row: &Value, column: usize) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::world;
    use super::*;

    /// What is found after a change of the tables: lost, doubled, and the first text.
    fn after(change: impl FnOnce(&mut Tables)) -> ([u64; 2], String) {
        let (ledger, said) = world();
        let titles = HashMap::from([("T".to_owned(), vec![5])]);
        let sends = HashMap::from([("S".to_owned(), (1, 1))]);
        let mut tables = Tables { facts: said.clone(), titles, sends, rows: 0 };
        change(&mut tables);
        let mut findings = Findings::default();
        tables.check(&ledger, &said, &mut findings);
        let text = findings.texts.first().cloned().unwrap_or_default();
        ([Wrong::Lost, Wrong::Doubled].map(|wrong| findings.count(wrong)), text)
    }

    #[test]
    fn what_was_acknowledged_is_in_the_tables_once() {
        assert_eq!(after(|_| {}), ([0, 0], String::new()));
        let (found, text) = after(|tables| tables.titles.clear());
        assert_eq!(
            (found, text.as_str()),
            ([1, 0], "lost: in the tables: ticket T (0 times, not 1..=1)")
        );
        assert_eq!(after(|tables| tables.titles.get_mut("T").unwrap().push(6)).0, [0, 1]);
        assert_eq!(
            after(|tables| tables.titles.insert("T".to_owned(), vec![6]).map_or((), drop)).0,
            [1, 0]
        );
        assert_eq!(after(|tables| tables.sends.clear()).0, [1, 0]);
        assert_eq!(after(|tables| *tables.sends.get_mut("S").unwrap() = (2, 2)).0, [0, 1]);
        assert_eq!(after(|tables| *tables.sends.get_mut("S").unwrap() = (1, 0)).0, [1, 0]);
    }

    #[test]
    fn what_a_node_said_and_the_tables_do_not_hold_is_lost() {
        let comments =
            |tables: &mut Tables| tables.facts.tickets.get_mut(&5).unwrap().comments.clear();
        let (found, text) = after(comments);
        // The comment, the mention that is without one, and what the node said.
        assert_eq!((found[0], text.contains("comment c @dev")), (2, true), "{text}");
        let inbox = |tables: &mut Tables| {
            let inbox = tables.facts.inboxes.get_mut(&7).unwrap();
            inbox.rows[0].is_read = true;
        };
        assert!(after(inbox).0[0] >= 1);
        let head = |tables: &mut Tables| tables.facts.inboxes.get_mut(&7).unwrap().head = 9;
        let (found, text) = after(head);
        assert_eq!(found, [1, 0]);
        assert!(text.starts_with("lost: in the tables: inbox of user 7: head 9"), "{text}");
    }
}
