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
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::columns::{page_of, user_columns};
use super::transaction::failed;
use super::writer::{Done, Write, mismatch};
use crate::rows::{Columns, get_time, int, string, user};

#[async_trait]
impl CommentStore for PostgresStore {
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
                   WHERE id = $1 AND ticket_id = $2";
        let row = sqlx::query(sql).bind(id.0).bind(ticket.0).fetch_optional(&self.pool).await;
        row.map_err(failed)?.as_ref().map(comment).transpose()
    }

    async fn comments(
        &self,
        ticket: TicketId,
        page: PageRequest,
    ) -> Result<Page<Comment>, StoreError> {
        let sql = "SELECT c.count, p.* FROM \
                   (SELECT count(*) FROM comments WHERE ticket_id = $1) c LEFT JOIN \
                   (SELECT id, ticket_id, author_id, author_name, body, created_at FROM comments \
                   WHERE ticket_id = $1 ORDER BY created_at, id LIMIT $2 OFFSET $3) p ON TRUE \
                   ORDER BY p.created_at, p.id";
        let query = sqlx::query(sql).bind(ticket.0).bind(i64::from(page.page_size));
        let rows = query.bind(page.offset()).fetch_all(&self.pool).await;
        page_of(&rows.map_err(failed)?, "id", comment)
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
            ", EXISTS (SELECT 1 FROM project_members m WHERE m.project_id = $2 \
             AND m.user_id = u.id) AS is_member FROM users u \
             WHERE u.id IN (SELECT n.user_id FROM name_keys n WHERE n.kind = 'username' \
             AND n.key = ANY($1) UNION SELECT a.id FROM users a WHERE a.username = ANY($3)) \
             AND u.is_active ORDER BY u.id"
        );
        let keys: Vec<String> = usernames.iter().map(|name| username_key(name)).collect();
        // Accounts of an older version may look alike; then one of them has the key.
        let rows = sqlx::query(sql).bind(keys).bind(project.0).bind(usernames);
        let rows = rows.fetch_all(self.pool.by_key()).await;
        rows.map_err(failed)?.iter().map(person).collect()
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
            ", EXISTS (SELECT 1 FROM project_members m WHERE m.project_id = $2 \
             AND m.user_id = u.id) AS is_member FROM users u \
             WHERE u.id IN (SELECT unnest($1::bigint[]) \
             UNION SELECT author_id FROM comments WHERE ticket_id = $3 \
             UNION SELECT id FROM users WHERE role = ANY($4) \
             UNION SELECT user_id FROM project_members WHERE $5 AND project_id = $2) \
             AND u.id > $6 AND u.is_active ORDER BY u.id LIMIT $7"
        );
        let works = [ticket.created_by].into_iter().chain(ticket.assigned_to.iter().copied());
        let works: Vec<i64> = works.map(|user| user.0).collect();
        let rows = sqlx::query(sql).bind(works).bind(ticket.project.0).bind(ticket.id.0);
        let rows = rows.bind(circle.roles()).bind(circle == Circle::Members).bind(after.0);
        let rows = rows.bind(i64::from(limit)).fetch_all(&self.pool).await;
        rows.map_err(failed)?.iter().map(person).collect()
    }
}

fn person(row: &PgRow) -> Result<(User, bool), StoreError> {
    Ok((user(row)?, row.flag("is_member")?))
}

fn comment(row: &PgRow) -> Result<Comment, StoreError> {
    Ok(Comment {
        id: CommentId(int(row, "id")?),
        ticket: TicketId(int(row, "ticket_id")?),
        author: UserId(int(row, "author_id")?),
        author_name: string(row, "author_name")?,
        body: string(row, "body")?,
        created_at: get_time(row, "created_at")?,
    })
}
