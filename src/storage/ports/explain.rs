//! Who was notified of what, and why.

use async_trait::async_trait;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_domain::routing::Channels;
use bellpull_domain::ticket::announced_actions;
use bellpull_port::explain::{Announced, AnnouncedRow};
use bellpull_port::{ExplainStore, Page, PageRequest, StoreError};

use crate::engine::{Build, Deferred, Dialect, Engine, ReadPage, Reads, Row, sql, values};
use crate::rows::{Columns, get_time, int, optional_timestamp, text};

#[async_trait]
impl<D: Dialect> ExplainStore for Engine<D> {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announced>, StoreError> {
        self.settle(Deferred::Notification(id)).await?;
        let sql = sql!(
            "SELECT m.event, m.sender_id, m.created_at, m.ticket_id, n.id, n.recipient_id, \
             n.seq, n.read_at, n.deleted_at FROM notifications n \
             JOIN messages m ON m.id = n.message_id WHERE n.id = $1"
        );
        self.row(sql, values![id], announced).await
    }

    async fn announced(
        &self,
        ticket: TicketId,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<Announced>, StoreError> {
        self.settle(Deferred::Inbox(user)).await?;
        let mut count = announcements(ticket);
        count.push("SELECT count(*) FROM announced");
        // The user's inbox is read once, as for its list of a ticket's notifications.
        let mut rows = announcements(ticket);
        rows.push("SELECT p.event, p.sender_id, p.created_at, ").bind(ticket);
        rows.push("{|::bigint} AS ticket_id, n.id, n.recipient_id, n.seq, n.read_at, ");
        rows.push("n.deleted_at FROM (SELECT * FROM announced ORDER BY created_at, ");
        rows.push("id NULLS FIRST LIMIT ").bind(page.page_size);
        rows.push(" OFFSET ").bind(page.offset());
        rows.push(") p LEFT JOIN (SELECT * FROM notifications WHERE recipient_id = ").bind(user);
        rows.push(" AND message_id IN (SELECT id FROM said)) n ON n.message_id = p.id ");
        rows.push("ORDER BY p.created_at, p.id NULLS FIRST");
        let read = ReadPage { count: count.done(), rows: rows.done(), decode: announced };
        self.read(Reads::Lists, read).await
    }

    fn channels(&self) -> Channels {
        Dialect::channels(&**self)
    }

    async fn has_browser(&self, user: UserId) -> Result<bool, StoreError> {
        let sql = sql!("SELECT user_id FROM push_subscriptions WHERE user_id = $1 LIMIT 1");
        let found = self.row(sql, values![user], |row| int(row, "user_id")).await?;
        Ok(found.is_some())
    }
}

/// The messages about a ticket, and the entries of its history that are announced but have no
/// message, for they had no recipient.
fn announcements(ticket: TicketId) -> Build {
    let mut sql = Build::new("WITH steps AS (SELECT actor_id, created_at, CASE action");
    for (action, event) in announced_actions() {
        sql.push(" WHEN ").bind(action).push(" THEN ").bind(event.as_str()).push("{|::text}");
    }
    sql.push(" END AS event FROM ticket_history WHERE ticket_id = ").bind(ticket);
    sql.push("), said AS (SELECT id, event, sender_id, created_at FROM messages ");
    sql.push("WHERE ticket_id = ").bind(ticket);
    sql.push("), announced AS (SELECT id, event, sender_id, created_at FROM said UNION ALL ");
    sql.push("SELECT NULL, event, actor_id, created_at FROM steps s WHERE event IS NOT NULL ");
    sql.push("AND NOT EXISTS (SELECT 1 FROM said m WHERE m.created_at = s.created_at ");
    sql.push("AND m.event = s.event)) ");
    sql
}

fn announced(row: &Row) -> Result<Announced, StoreError> {
    let announced = |id| {
        Ok::<_, StoreError>(AnnouncedRow {
            id: NotificationId(id),
            recipient: UserId(int(row, "recipient_id")?),
            seq: Seq(int(row, "seq")?),
            read_at: optional_timestamp(row.int("read_at")?)?,
            deleted_at: optional_timestamp(row.int("deleted_at")?)?,
        })
    };
    Ok(Announced {
        event: Event::from_name(text(row, "event")?),
        by: row.int("sender_id")?.map(UserId),
        at: get_time(row, "created_at")?,
        ticket: row.int("ticket_id")?.map(TicketId),
        row: row.int("id")?.map(announced).transpose()?,
    })
}
