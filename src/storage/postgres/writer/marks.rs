//! Marks: existing rows become read, unread or deleted, each change with a number of its own.

use std::collections::BTreeSet;

use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::ids::{NotificationId, Seq, UserId};
use bellpull_actors::domain::inbox::Mark;
use bellpull_actors::domain::plan::marks::{
    Candidate, ChangedEntry, MarkPlan, MarkRows, MarkedInbox, MarkedPortion, Window,
};
use bellpull_actors::port::inbox::{MarkPortion, Selection};
use sqlx::{Postgres, QueryBuilder};

use super::super::database::Connection;
use super::facts::Locked;
use super::failure::Failure;
use super::{Answer, Done, Write};
use crate::storage::narrow;

/// The marks of a group.
#[derive(Debug)]
pub(super) struct Marks<'a> {
    all: Vec<(usize, &'a MarkPortion)>,
}

impl<'a> Marks<'a> {
    pub(super) fn of(writes: &[&'a Write]) -> Self {
        let mut all = Vec::new();
        for (at, write) in writes.iter().copied().enumerate() {
            if let Write::Mark(portion) = write {
                all.push((at, &**portion));
            }
        }
        Self { all }
    }

    /// The users whose inboxes must be locked.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        self.all.iter().map(|(_, portion)| portion.user)
    }

    /// Applies all marks, in rounds in which each user comes once: a second mark on an inbox must
    /// see the rows as the first has left them.
    pub(super) async fn apply(
        self,
        connection: &mut Connection,
        locked: &mut Locked,
        answers: &mut [Option<Answer>],
    ) -> Result<(), Failure> {
        let mut left = self.all;
        if left.is_empty() {
            return Ok(());
        }
        let users: Vec<i64> = left.iter().map(|(_, portion)| portion.user.0).collect();
        let waiting = with_steps(connection, users).await?;
        let mut plan = MarkPlan::default();
        while !left.is_empty() {
            let mut users = BTreeSet::new();
            let (round, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(_, portion)| users.insert(portion.user));
            apply_round(connection, &round, (&mut plan, &waiting), locked, answers).await?;
            left = later;
        }
        Ok(())
    }
}

/// The users that have steps waiting until a notification is seen.
async fn with_steps(
    connection: &mut Connection,
    users: Vec<i64>,
) -> Result<BTreeSet<UserId>, Failure> {
    let sql = "SELECT DISTINCT recipient_id FROM deliveries WHERE recipient_id = ANY($1) \
               AND until_seen IS NOT NULL AND status = 'QUEUED' AND leased_until IS NULL";
    let found: Vec<i64> = sqlx::query_scalar(sql).bind(users).fetch_all(connection).await?;
    Ok(found.into_iter().map(UserId).collect())
}

async fn apply_round(
    connection: &mut Connection,
    round: &[(usize, &MarkPortion)],
    (plan, waiting): (&mut MarkPlan, &BTreeSet<UserId>),
    locked: &mut Locked,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let named = named_rows(connection, round).await?;
    for ((at, portion), named) in round.iter().zip(named) {
        let Some(head) = locked.head(portion.user) else {
            answers[*at] = Some(Ok(Done::Marked(MarkedPortion::default())));
            continue;
        };
        let request = portion.request();
        let found = match named {
            Some(found) => found,
            None => matching_rows(connection, portion, plan.window(&request, &head)).await?,
        };
        let mut inbox = MarkedInbox { head, has_steps: waiting.contains(&portion.user) };
        let marked = plan.mark(&request, &mut inbox, found);
        if !marked.changes.is_empty() {
            locked.change(portion.user, inbox.head);
        }
        answers[*at] = Some(Ok(Done::Marked(marked)));
    }
    write(connection, &plan.take()).await
}

/// Writes the entries; the heads are written with those of the whole group.
async fn write(connection: &mut Connection, plan: &MarkRows) -> Result<(), Failure> {
    if plan.entries.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE notifications n SET changed_seq = v.changed_seq, \
               read_at = CASE v.mark WHEN 'read' THEN v.at WHEN 'unread' THEN NULL \
               ELSE n.read_at END, \
               deleted_at = CASE v.mark WHEN 'delete' THEN v.at ELSE n.deleted_at END \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[]) \
               AS v (recipient_id, seq, changed_seq, mark, at) \
               WHERE n.recipient_id = v.recipient_id AND n.seq = v.seq";
    let of = |value: fn(&ChangedEntry) -> i64| plan.entries.iter().map(value).collect::<Vec<_>>();
    let names: Vec<&str> = plan.entries.iter().map(|entry| name(entry.mark)).collect();
    sqlx::query(sql)
        .bind(of(|entry| entry.user.0))
        .bind(of(|entry| entry.seq.0))
        .bind(of(|entry| entry.changed_seq.0))
        .bind(names)
        .bind(of(|entry| entry.at.as_millisecond()))
        .execute(&mut *connection)
        .await?;
    call_off_seen(connection, plan).await
}

fn name(mark: Mark) -> &'static str {
    match mark {
        Mark::Read => "read",
        Mark::Unread => "unread",
        Mark::Delete => "delete",
    }
}

/// Cancels the steps that waited until these notifications are seen. Only steps that are not leased
/// are: one that is with a provider may go out.
async fn call_off_seen(connection: &mut Connection, plan: &MarkRows) -> Result<(), Failure> {
    if plan.seen_by.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE deliveries SET status = 'SUPPRESSED', rule = $3 WHERE id IN \
               (SELECT d.id FROM deliveries d WHERE d.recipient_id = ANY($1) \
               AND d.until_seen IS NOT NULL AND d.status = 'QUEUED' AND d.leased_until IS NULL \
               AND d.digest_id IS NULL AND d.notification_id = ANY($2) ORDER BY d.id FOR UPDATE)";
    let users: Vec<i64> = plan.seen_by.iter().map(|user| user.0).collect();
    let seen: Vec<i64> = plan.seen.iter().map(|id| id.0).collect();
    let query = sqlx::query(sql).bind(users).bind(seen).bind(Rule::Seen.as_str());
    query.execute(connection).await?;
    Ok(())
}

/// The rows of all marks that only name them, by one query; `None` for the others.
async fn named_rows(
    connection: &mut Connection,
    round: &[(usize, &MarkPortion)],
) -> Result<Vec<Option<Vec<Candidate>>>, Failure> {
    let (mut places, mut users, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for (place, (_, portion)) in (0_i64..).zip(round) {
        let Some(named) = portion.selection.only_ids() else {
            rows.push(None);
            continue;
        };
        for id in named {
            places.push(place);
            users.push(portion.user.0);
            ids.push(id.0);
        }
        rows.push(Some(Vec::new()));
    }
    if places.is_empty() {
        return Ok(rows);
    }
    let sql = "SELECT n.seq, n.id, n.read_at IS NOT NULL, n.deleted_at IS NULL, w.place \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS w (place, user_id, id) \
               JOIN notifications n ON n.id = w.id AND n.recipient_id = w.user_id";
    let found: Vec<(i64, i64, bool, bool, i64)> =
        sqlx::query_as(sql).bind(places).bind(users).bind(ids).fetch_all(connection).await?;
    for (seq, id, is_read, is_selected, place) in found {
        let list = usize::try_from(place).ok().and_then(|place| rows.get_mut(place)?.as_mut());
        if let Some(list) = list {
            list.push(candidate((seq, id, is_read, is_selected)));
        }
    }
    Ok(rows)
}

/// The rows of a mark's window. Its bound is on the rows that are read, not on those that match:
/// few may match in an inbox of a million. Unread rows are found by their own index.
async fn matching_rows(
    connection: &mut Connection,
    portion: &MarkPortion,
    window: Window,
) -> Result<Vec<Candidate>, Failure> {
    let Selection { ids, filter, .. } = &*portion.selection;
    let most = i64::try_from(window.most).unwrap_or(i64::MAX).saturating_add(1);
    let mut sql = QueryBuilder::<Postgres>::new("SELECT n.seq, n.id, n.read_at IS NOT NULL, (");
    narrow::push(&mut sql, filter);
    sql.push(
        ") IS TRUE FROM (SELECT seq, id, read_at, deleted_at, message_id FROM notifications \
         WHERE recipient_id = ",
    );
    sql.push_bind(portion.user.0).push(" AND seq < ").push_bind(window.before.0);
    if let Some(ids) = ids {
        sql.push(" AND id = ANY (").push_bind(ids.iter().map(|id| id.0).collect::<Vec<_>>());
        sql.push(")");
    }
    if let Some(seq) = filter.since_seq {
        sql.push(" AND seq > ").push_bind(seq.0);
    }
    if portion.mark == Mark::Read {
        sql.push(" AND read_at IS NULL AND deleted_at IS NULL");
    }
    sql.push(" ORDER BY seq DESC LIMIT ").push_bind(most).push(") n");
    if narrow::needs_messages(filter) {
        sql.push(" JOIN messages m ON m.id = n.message_id");
    }
    let found: Vec<(i64, i64, bool, bool)> = sql.build_query_as().fetch_all(connection).await?;
    Ok(found.into_iter().map(candidate).collect())
}

fn candidate((seq, id, is_read, is_selected): (i64, i64, bool, bool)) -> Candidate {
    Candidate { seq: Seq(seq), id: NotificationId(id), is_read, is_selected }
}
