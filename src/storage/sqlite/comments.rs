//! Comments and the users that they mention.

use async_trait::async_trait;
use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::confusable::username_key;
use bellpull_domain::ids::{CommentId, ProjectId, TicketId, UserId};
use bellpull_domain::ticket::Ticket;
use bellpull_domain::user::User;
use bellpull_port::comments::Circle;
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{CommentStore, Page, PageRequest, StoreError};
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::columns::user_columns;
use super::error::unavailable;
use super::rows::{get, get_time, user};
use super::writer::{Done, Write, mismatch};

#[async_trait]
impl CommentStore for SqliteStore {
    async fn commit_comment(
        &self,
        new: NewComment,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError> {
        let Done::Commented(done) = self.writer.write(Write::Comment(Box::new(new))).await? else {
            return Err(mismatch());
        };
        Ok(*done)
    }

    async fn comment(
        &self,
        ticket: TicketId,
        id: CommentId,
    ) -> Result<Option<Comment>, StoreError> {
        let sql = "SELECT id, ticket_id, author_id, author_name, body, created_at FROM comments \
                   WHERE id = ? AND ticket_id = ?";
        let row = sqlx::query(sql).bind(id.0).bind(ticket.0).fetch_optional(&self.readers).await;
        row.map_err(unavailable)?.as_ref().map(comment).transpose()
    }

    async fn comments(
        &self,
        ticket: TicketId,
        page: PageRequest,
    ) -> Result<Page<Comment>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let count = sqlx::query_scalar("SELECT count(*) FROM comments WHERE ticket_id = ?")
            .bind(ticket.0)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        let sql = "SELECT id, ticket_id, author_id, author_name, body, created_at FROM comments \
                   WHERE ticket_id = ? ORDER BY id LIMIT ? OFFSET ?";
        let rows = sqlx::query(sql)
            .bind(ticket.0)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(comment).collect::<Result<_, _>>()? })
    }

    async fn people_named(
        &self,
        usernames: &[String],
        project: ProjectId,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        if usernames.is_empty() {
            return Ok(Vec::new());
        }
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            ", EXISTS (SELECT 1 FROM project_members WHERE project_id = ?2 AND user_id = id) \
             AS is_member FROM users \
             WHERE id IN (SELECT n.user_id FROM json_each(?1) w CROSS JOIN name_keys n \
             ON n.kind = 'username' AND n.key = w.value UNION \
             SELECT u.id FROM json_each(?3) w CROSS JOIN users u ON u.username = w.value) AND is_active = 1 ORDER BY id"
        );
        let keys: Vec<String> = usernames.iter().map(|name| username_key(name)).collect();
        // Strings always serialise.
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        // Accounts of an older version may look alike; then one of them has the key.
        let names = serde_json::to_string(usernames).unwrap_or_default();
        let rows = sqlx::query(sql).bind(keys).bind(project.0).bind(names);
        let rows = rows.fetch_all(&self.readers).await;
        rows.map_err(unavailable)?.iter().map(person).collect()
    }

    async fn people_around(
        &self,
        ticket: &Ticket,
        circle: Circle,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            ", EXISTS (SELECT 1 FROM project_members WHERE project_id = ?2 AND user_id = id) \
             AS is_member FROM users WHERE id IN (SELECT value FROM json_each(?1) \
             UNION SELECT author_id FROM comments WHERE ticket_id = ?3 \
             UNION SELECT u.id FROM json_each(?4) r CROSS JOIN users u ON u.role = r.value \
             UNION SELECT user_id FROM project_members WHERE ?5 AND project_id = ?2) \
             AND id > ?6 AND is_active = 1 ORDER BY id LIMIT ?7"
        );
        let works = [ticket.created_by].into_iter().chain(ticket.assigned_to.iter().copied());
        let works: Vec<i64> = works.map(|user| user.0).collect();
        // Numbers and strings always serialise.
        let works = serde_json::to_string(&works).unwrap_or_default();
        let roles = serde_json::to_string(&circle.roles()).unwrap_or_default();
        let rows = sqlx::query(sql).bind(works).bind(ticket.project.0).bind(ticket.id.0);
        let rows = rows.bind(roles).bind(circle == Circle::Members).bind(after.0).bind(limit);
        let rows = rows.fetch_all(&self.readers).await;
        rows.map_err(unavailable)?.iter().map(person).collect()
    }
}

fn person(row: &SqliteRow) -> Result<(User, bool), StoreError> {
    Ok((user(row)?, get(row, "is_member")?))
}

fn comment(row: &SqliteRow) -> Result<Comment, StoreError> {
    Ok(Comment {
        id: CommentId(get(row, "id")?),
        ticket: TicketId(get(row, "ticket_id")?),
        author: UserId(get(row, "author_id")?),
        author_name: get(row, "author_name")?,
        body: get(row, "body")?,
        created_at: get_time(row, "created_at")?,
    })
}
