//! Marks: existing rows become read, unread or deleted, each change with a number of its own.

use std::collections::BTreeSet;

use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::ids::{NotificationId, Seq, UserId};
use bellpull_actors::domain::inbox::Mark;
use bellpull_actors::domain::plan::marks::{
    Candidate, ChangedEntry, MarkPlan, MarkRequest, MarkedInbox,
};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::inbox::Selection;
use sqlx::PgConnection;

use super::facts::Locked;
use super::failure::Failure;
use super::{Answer, Done, Write};
use crate::storage::requests::MarkRows;

/// The marks of a group.
#[derive(Debug)]
pub(super) struct Marks<'a> {
    all: Vec<(usize, &'a MarkRows)>,
}

impl<'a> Marks<'a> {
    pub(super) fn of(writes: &[&'a Write]) -> Self {
        let mut all = Vec::new();
        for (at, write) in writes.iter().copied().enumerate() {
            if let Write::Mark(rows) = write {
                all.push((at, &**rows));
            }
        }
        Self { all }
    }

    /// The users whose inboxes must be locked.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        self.all.iter().map(|(_, rows)| rows.user)
    }

    /// Applies all marks, in rounds in which each user comes once: a second mark on an inbox must
    /// see the rows as the first has left them.
    pub(super) async fn apply(
        self,
        connection: &mut PgConnection,
        locked: &mut Locked,
        answers: &mut [Option<Answer>],
    ) -> Result<(), Failure> {
        let mut left = self.all;
        if left.is_empty() {
            return Ok(());
        }
        let users: Vec<i64> = left.iter().map(|(_, rows)| rows.user.0).collect();
        let waiting = with_steps(connection, users).await?;
        while !left.is_empty() {
            let mut users = BTreeSet::new();
            let (round, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(_, rows)| users.insert(rows.user));
            apply_round(connection, &round, &waiting, locked, answers).await?;
            left = later;
        }
        Ok(())
    }
}

/// The users that have steps waiting until a notification is seen.
async fn with_steps(
    connection: &mut PgConnection,
    users: Vec<i64>,
) -> Result<BTreeSet<UserId>, Failure> {
    let sql = "SELECT DISTINCT recipient_id FROM deliveries WHERE recipient_id = ANY($1) \
               AND until_seen IS NOT NULL AND status = 'QUEUED' AND leased_until IS NULL";
    let found: Vec<i64> = sqlx::query_scalar(sql).bind(users).fetch_all(connection).await?;
    Ok(found.into_iter().map(UserId).collect())
}

async fn apply_round(
    connection: &mut PgConnection,
    round: &[(usize, &MarkRows)],
    waiting: &BTreeSet<UserId>,
    locked: &mut Locked,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let named = named_rows(connection, round).await?;
    let mut plan = MarkPlan::default();
    for ((at, rows), named) in round.iter().zip(named) {
        let Some(head) = locked.head(rows.user) else {
            answers[*at] = Some(Ok(Done::Marked(None)));
            continue;
        };
        let found = match named {
            Some(found) => found,
            None => matching_rows(connection, rows).await?,
        };
        let mut inbox = MarkedInbox { head, has_steps: waiting.contains(&rows.user) };
        let request = MarkRequest { user: rows.user, mark: rows.mark, at: rows.now };
        let marked = plan.mark(request, &mut inbox, found);
        locked.change(rows.user, inbox.head);
        answers[*at] = Some(Ok(Done::Marked(marked)));
    }
    write(connection, &plan).await
}

/// Writes the entries; the heads are written with those of the whole group.
async fn write(connection: &mut PgConnection, plan: &MarkPlan) -> Result<(), Failure> {
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
async fn call_off_seen(connection: &mut PgConnection, plan: &MarkPlan) -> Result<(), Failure> {
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

/// The rows of all marks that name them, by one query; `None` for marks that do not.
async fn named_rows(
    connection: &mut PgConnection,
    round: &[(usize, &MarkRows)],
) -> Result<Vec<Option<Vec<Candidate>>>, Failure> {
    let (mut places, mut users, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for (place, (_, one)) in (0_i64..).zip(round) {
        let Selection::Ids(named) = &one.selection else {
            rows.push(None);
            continue;
        };
        for id in named.iter() {
            places.push(place);
            users.push(one.user.0);
            ids.push(id.0);
        }
        rows.push(Some(Vec::new()));
    }
    if places.is_empty() {
        return Ok(rows);
    }
    let sql = "SELECT w.place, n.seq, n.id, n.read_at IS NOT NULL \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS w (place, user_id, id) \
               JOIN notifications n ON n.id = w.id AND n.recipient_id = w.user_id \
               WHERE n.deleted_at IS NULL";
    let found: Vec<(i64, i64, i64, bool)> =
        sqlx::query_as(sql).bind(places).bind(users).bind(ids).fetch_all(connection).await?;
    for (place, seq, id, is_read) in found {
        let list = usize::try_from(place).ok().and_then(|place| rows.get_mut(place)?.as_mut());
        if let Some(list) = list {
            list.push(candidate((seq, id, is_read)));
        }
    }
    Ok(rows)
}

/// The rows that match and that the mark would change: a text for each mark, so that unread rows
/// are found by their own index.
macro_rules! select_matching {
    ($state:literal) => {
        concat!(
            "SELECT n.seq, n.id, n.read_at IS NOT NULL FROM notifications n \
             WHERE n.recipient_id = $1 AND n.deleted_at IS NULL",
            $state,
            " AND ($2::bigint IS NULL OR n.seq <= $2) \
             AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM deliveries d \
             WHERE d.notification_id = n.id AND d.channel = $3)) \
             AND ($4::bigint IS NULL OR EXISTS (SELECT 1 FROM messages m \
             WHERE m.id = n.message_id AND m.ticket_id = $4))"
        )
    };
}

async fn matching_rows(
    connection: &mut PgConnection,
    rows: &MarkRows,
) -> Result<Vec<Candidate>, Failure> {
    let sql = match rows.mark {
        Mark::Read => select_matching!(" AND n.read_at IS NULL"),
        Mark::Unread => select_matching!(" AND n.read_at IS NOT NULL"),
        Mark::Delete => select_matching!(""),
    };
    let (mut up_to, mut of_channel, mut of_ticket) = (None, None, None);
    match &rows.selection {
        Selection::UpTo(Seq(seq)) => up_to = Some(*seq),
        Selection::All { channel, ticket } => {
            of_channel = channel.filter(|channel| *channel != Channel::System);
            of_ticket = ticket.map(|ticket| ticket.0);
        }
        Selection::Ids(_) => {}
    }
    let found: Vec<(i64, i64, bool)> = sqlx::query_as(sql)
        .bind(rows.user.0)
        .bind(up_to)
        .bind(of_channel.map(|channel| channel.as_str()))
        .bind(of_ticket)
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(candidate).collect())
}

fn candidate((seq, id, is_read): (i64, i64, bool)) -> Candidate {
    Candidate { seq: Seq(seq), id: NotificationId(id), is_read }
}
