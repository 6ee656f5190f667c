//! Who was notified of what, and why.

use std::sync::LazyLock;

use async_trait::async_trait;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_domain::routing::Channels;
use bellpull_domain::ticket::announced_actions;
use bellpull_port::explain::{Announced, AnnouncedRow};
use bellpull_port::{ExplainStore, Page, PageRequest, StoreError};
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::columns::page_of;
use super::slow_reads::{READ_MAX, Snapshot};
use super::transaction::failed;
use crate::rows::{Columns, get_time, int, optional_timestamp, text};

/// The messages about ticket `$1`, and the entries of its history that are announced but have no
/// message, for they had no recipient.
static ANNOUNCED: LazyLock<String> = LazyLock::new(|| {
    let mut events = String::new();
    for (action, event) in announced_actions() {
        events.push_str(&format!(" WHEN '{action}' THEN '{}'", event.as_str()));
    }
    format!(
        "WITH steps AS (SELECT actor_id, created_at, CASE action{events} END AS event \
         FROM ticket_history WHERE ticket_id = $1), \
         said AS (SELECT id, event, sender_id, created_at FROM messages WHERE ticket_id = $1), \
         announced AS (SELECT id, event, sender_id, created_at FROM said UNION ALL \
         SELECT NULL, event, actor_id, created_at FROM steps s WHERE event IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM said m WHERE m.created_at = s.created_at \
         AND m.event = s.event)) "
    )
});

/// How many there are, and one page of them. The user's inbox is read once, as for its list of a
/// ticket's notifications.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}SELECT c.count, a.*, n.id, n.recipient_id, n.seq, n.read_at, n.deleted_at \
         FROM (SELECT count(*) FROM announced) c LEFT JOIN (SELECT id AS message_id, event, \
         sender_id, created_at, $1::bigint AS ticket_id FROM announced \
         ORDER BY created_at, id NULLS FIRST LIMIT $3 OFFSET $4) a ON TRUE \
         LEFT JOIN (SELECT * FROM notifications WHERE recipient_id = $2 \
         AND message_id IN (SELECT id FROM said)) n ON n.message_id = a.message_id \
         ORDER BY a.created_at, a.message_id NULLS FIRST",
        *ANNOUNCED
    )
});

#[async_trait]
impl ExplainStore for PostgresStore {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announced>, StoreError> {
        let sql = "SELECT m.event, m.sender_id, m.created_at, m.ticket_id, n.id, n.recipient_id, \
                   n.seq, n.read_at, n.deleted_at FROM notifications n \
                   JOIN messages m ON m.id = n.message_id WHERE n.id = $1";
        let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.pool).await;
        row.map_err(failed)?.as_ref().map(announced).transpose()
    }

    async fn announced(
        &self,
        ticket: TicketId,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<Announced>, StoreError> {
        let read = async move |mut snapshot: Snapshot| {
            let query = sqlx::query(PAGE.as_str()).bind(ticket.0).bind(user.0);
            let query = query.bind(i64::from(page.page_size)).bind(page.offset());
            let rows = query.fetch_all(&mut *snapshot).await.map_err(failed)?;
            page_of(&rows, "created_at", announced)
        };
        self.slow.read(READ_MAX, read).await
    }

    fn channels(&self) -> Channels {
        self.channels
    }

    async fn has_browser(&self, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM push_subscriptions WHERE user_id = $1)";
        let found = sqlx::query_scalar(sql).bind(user.0).fetch_one(&self.pool).await;
        found.map_err(failed)
    }
}

fn announced(row: &PgRow) -> Result<Announced, StoreError> {
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
