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

use crate::engine::{Dialect, Engine, ReadPage, Reads, Row, Statement, among, sql, values};
use crate::rows::{Columns, get_time, int, string, user, user_columns};

macro_rules! select_comments {
    () => {
        "SELECT id, ticket_id, author_id, author_name, body, created_at FROM comments "
    };
}

/// Users `u`, each with whether it is a member of project `$2`.
macro_rules! select_people {
    () => {
        concat!(
            "SELECT ",
            user_columns!(),
            ", EXISTS (SELECT 1 FROM project_members m WHERE m.project_id = $2 \
             AND m.user_id = u.id) AS is_member FROM users u "
        )
    };
}

#[async_trait]
impl<D: Dialect> CommentStore for Engine<D> {
    async fn commit_comment(
        &self,
        new: NewComment,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError> {
        Dialect::comment(&**self, new).await
    }

    async fn comment(
        &self,
        ticket: TicketId,
        id: CommentId,
    ) -> Result<Option<Comment>, StoreError> {
        let sql = sql!(select_comments!(), "WHERE id = $1 AND ticket_id = $2");
        self.row(sql, values![id, ticket], comment).await
    }

    async fn comments(
        &self,
        ticket: TicketId,
        page: PageRequest,
    ) -> Result<Page<Comment>, StoreError> {
        let count = sql!("SELECT count(*) FROM comments WHERE ticket_id = $1");
        // PostgreSQL's ids come from blocks of several nodes and say nothing about time.
        let rows = sql!(
            select_comments!(),
            "WHERE ticket_id = $1 ORDER BY {id|created_at, id} LIMIT $2 OFFSET $3"
        );
        let read = ReadPage {
            count: Statement::new(count, values![ticket]),
            rows: Statement::new(rows, values![ticket, page.page_size, page.offset()]),
            decode: comment,
        };
        self.read(Reads::Short, read).await
    }

    async fn people_named(
        &self,
        usernames: &[String],
        project: ProjectId,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        if usernames.is_empty() {
            return Ok(Vec::new());
        }
        let sql = sql!(
            select_people!(),
            "WHERE u.id IN (SELECT n.user_id FROM name_keys n WHERE n.kind = 'username' \
             AND n.key ",
            among!("$1"),
            " UNION SELECT a.id FROM users a WHERE a.username ",
            among!("$3"),
            ") AND u.is_active ORDER BY u.id"
        );
        let keys: Vec<String> = usernames.iter().map(|name| username_key(name)).collect();
        // Accounts of an older version may look alike; then one of them has the key.
        self.rows(sql, values![keys, project, usernames.to_vec()], person).await
    }

    async fn people_around(
        &self,
        ticket: &Ticket,
        circle: Circle,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<(User, bool)>, StoreError> {
        let sql = sql!(
            select_people!(),
            "WHERE u.id IN (SELECT {value FROM json_each($1)|unnest($1::bigint[])} \
             UNION SELECT author_id FROM comments WHERE ticket_id = $3 \
             UNION SELECT id FROM users WHERE role ",
            among!("$4"),
            " UNION SELECT user_id FROM project_members WHERE $5 AND project_id = $2) \
             AND u.id > $6 AND u.is_active ORDER BY u.id LIMIT $7"
        );
        let works = [ticket.created_by].into_iter().chain(ticket.assigned_to.iter().copied());
        let works: Vec<i64> = works.map(|user| user.0).collect();
        let roles: Vec<String> = circle.roles().iter().map(ToString::to_string).collect();
        let has_members = circle == Circle::Members;
        let values = values![works, ticket.project, ticket.id, roles, has_members, after, limit];
        self.rows(sql, values, person).await
    }
}

fn person(row: &Row) -> Result<(User, bool), StoreError> {
    Ok((user(row)?, row.flag("is_member")?))
}

fn comment(row: &Row) -> Result<Comment, StoreError> {
    Ok(Comment {
        id: CommentId(int(row, "id")?),
        ticket: TicketId(int(row, "ticket_id")?),
        author: UserId(int(row, "author_id")?),
        author_name: string(row, "author_name")?,
        body: string(row, "body")?,
        created_at: get_time(row, "created_at")?,
    })
}
