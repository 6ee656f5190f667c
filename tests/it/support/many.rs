//! Many rows at once, written past the hub: SQL that both stores understand.

use super::{Hub, is_on_postgres};

/// The ids of messages and of notifications that are made here begin behind it.
pub const BEYOND: i64 = 100_000_000;

/// An inbox of so many unread entries of one message, numbered from 1, for a user who has none. Of
/// each hundred the first ten are about ticket 1.
pub fn inbox(user: i64, count: i64) -> String {
    let (other, of_ticket) = (BEYOND + 2 * user, BEYOND + 2 * user + 1);
    let ids = BEYOND + 10_000_000 * user;
    let message = |id: i64, ticket: &str, copies: i64| {
        format!(
            "INSERT INTO messages (id, event, kind, title, body, action_url, ticket_id, metadata, \
             priority, created_at, copies) VALUES ({id}, 'news', 'INFO', 'A title', 'A text', '', \
             {ticket}, '{{}}', 'LOW', 0, {copies});"
        )
    };
    let about = count / 100 * 10 + (count % 100).min(10);
    format!(
        "{} {} WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}) \
         INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
         SELECT {user}, n, {ids} + n, n, CASE WHEN (n - 1) % 100 < 10 THEN {of_ticket} \
         ELSE {other} END FROM n; \
         INSERT INTO inboxes (user_id, last_seq, unread_count) VALUES ({user}, {count}, {count}) \
         ON CONFLICT (user_id) DO UPDATE SET last_seq = excluded.last_seq, \
         unread_count = excluded.unread_count;",
        message(other, "NULL", count - about),
        message(of_ticket, "1", about),
    )
}

/// So many queued e-mails to a user, from the first entry of the user's [`inbox`] on, each due a
/// millisecond after the one before.
pub fn emails(user: i64, count: i64) -> String {
    let ids = BEYOND + 10_000_000 * user;
    format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}) \
         INSERT INTO deliveries (id, notification_id, recipient_id, channel, status, due_at) \
         SELECT {ids} + n, {ids} + n, {user}, 'EMAIL', 'QUEUED', n FROM n;"
    )
}

impl Hub {
    /// Runs statements on its database, as another process would.
    pub async fn execute(&self, sql: &str) {
        use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
        if is_on_postgres() {
            return self.postgres.as_ref().unwrap().execute(sql).await;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.database());
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
