//! Who was notified of what, and why.

use std::sync::LazyLock;

use async_trait::async_trait;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_domain::routing::Channels;
use bellpull_domain::ticket::announced_actions;
use bellpull_port::explain::{Announced, AnnouncedRow};
use bellpull_port::{ExplainStore, Page, PageRequest, StoreError};
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::{get, get_time, optional_timestamp};
use super::slow_reads::{READ_MAX, read_error};

/// The messages about ticket `?1`, and the entries of its history that are announced but have no
/// message, for they had no recipient.
static ANNOUNCED: LazyLock<String> = LazyLock::new(|| {
    let mut events = String::new();
    for (action, event) in announced_actions() {
        events.push_str(&format!(" WHEN '{action}' THEN '{}'", event.as_str()));
    }
    format!(
        "WITH steps AS (SELECT actor_id, created_at, CASE action{events} END AS event \
         FROM ticket_history WHERE ticket_id = ?1), \
         said AS (SELECT id, event, sender_id, created_at FROM messages WHERE ticket_id = ?1), \
         announced AS (SELECT id, event, sender_id, created_at FROM said UNION ALL \
         SELECT NULL, event, actor_id, created_at FROM steps s WHERE event IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM said m WHERE m.created_at = s.created_at \
         AND m.event = s.event)) "
    )
});

static COUNT: LazyLock<String> =
    LazyLock::new(|| format!("{}SELECT count(*) FROM announced", *ANNOUNCED));

/// One page of them. The user's inbox is read once, as for its list of a ticket's notifications.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}SELECT p.event, p.sender_id, p.created_at, ?1 AS ticket_id, n.id, n.recipient_id, \
         n.seq, n.read_at, n.deleted_at FROM (SELECT * FROM announced ORDER BY created_at, id \
         LIMIT ?3 OFFSET ?4) p LEFT JOIN (SELECT * FROM notifications WHERE recipient_id = ?2 \
         AND message_id IN (SELECT id FROM said)) n ON n.message_id = p.id \
         ORDER BY p.created_at, p.id",
        *ANNOUNCED
    )
});

#[async_trait]
impl ExplainStore for SqliteStore {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announced>, StoreError> {
        self.barrier.notification(id).await?;
        let sql = "SELECT m.event, m.sender_id, m.created_at, m.ticket_id, n.id, n.recipient_id, \
                   n.seq, n.read_at, n.deleted_at FROM notifications n \
                   JOIN messages m ON m.id = n.message_id WHERE n.id = ?";
        let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.readers).await;
        row.map_err(unavailable)?.as_ref().map(announced).transpose()
    }

    async fn announced(
        &self,
        ticket: TicketId,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<Announced>, StoreError> {
        self.barrier.inbox(user).await?;
        let mut read = self.slow.begin(READ_MAX).await?;
        let mut snapshot = read.snapshot().await?;
        let count = sqlx::query_scalar(COUNT.as_str()).bind(ticket.0).fetch_one(&mut *snapshot);
        let count = count.await.map_err(read_error)?;
        let query = sqlx::query(PAGE.as_str()).bind(ticket.0).bind(user.0);
        let query = query.bind(i64::from(page.page_size)).bind(page.offset());
        let rows = query.fetch_all(&mut *snapshot).await.map_err(read_error)?;
        Ok(Page { count, rows: rows.iter().map(announced).collect::<Result<_, _>>()? })
    }

    fn channels(&self) -> Channels {
        self.channels
    }

    async fn has_browser(&self, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM push_subscriptions WHERE user_id = ?)";
        let found = sqlx::query_scalar(sql).bind(user.0).fetch_one(&self.readers).await;
        found.map_err(unavailable)
    }
}

fn announced(row: &SqliteRow) -> Result<Announced, StoreError> {
    let id: Option<i64> = get(row, "id")?;
    let announced = |id| {
        Ok::<_, StoreError>(AnnouncedRow {
            id: NotificationId(id),
            recipient: UserId(get(row, "recipient_id")?),
            seq: Seq(get(row, "seq")?),
            read_at: optional_timestamp(get(row, "read_at")?)?,
            deleted_at: optional_timestamp(get(row, "deleted_at")?)?,
        })
    };
    Ok(Announced {
        event: Event::from_name(get(row, "event")?),
        by: get::<Option<i64>, _>(row, "sender_id")?.map(UserId),
        at: get_time(row, "created_at")?,
        ticket: get::<Option<i64>, _>(row, "ticket_id")?.map(TicketId),
        row: id.map(announced).transpose()?,
    })
}
