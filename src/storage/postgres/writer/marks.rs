//! Marks: existing rows become read, unread or deleted, each change with a number of its own.

use std::collections::{BTreeSet, HashSet};
use std::mem::take;

use bellpull_domain::delivery::Rule;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::plan::marks::{
    Candidate, ChangedEntry, MarkPlan, MarkRows, MarkedInbox, MarkedPortion, Window,
};
use bellpull_port::inbox::{MarkPortion, Selection};
use sqlx::{Postgres, QueryBuilder};

use super::super::database::Connection;
use super::batch::Batch;
use super::facts::Locked;
use super::failure::Failure;
use super::question::{GroupFacts, MarkedRow, Question};
use super::{Answer, Done, Write};
use crate::narrow;

/// The marks of a group, in rounds in which each user comes once: a second mark on an inbox must
/// see the rows as the first has left them.
#[derive(Debug)]
pub(super) struct Marks<'a> {
    rounds: Vec<Vec<(usize, &'a MarkPortion)>>,
}

impl<'a> Marks<'a> {
    pub(super) fn of(writes: &[&'a Write]) -> Self {
        let mut left = Vec::new();
        for (at, write) in writes.iter().copied().enumerate() {
            if let Write::Mark(portion) = write {
                left.push((at, &**portion));
            }
        }
        let mut rounds = Vec::new();
        while !left.is_empty() {
            let mut users = BTreeSet::new();
            let (round, later) =
                left.into_iter().partition(|(_, portion)| users.insert(portion.user));
            rounds.push(round);
            left = later;
        }
        Self { rounds }
    }

    /// The users whose inboxes must be locked.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        self.rounds.first().into_iter().flatten().map(|(_, portion)| portion.user)
    }

    /// Asks for what the first round needs.
    pub(super) fn ask(&self, question: &mut Question) {
        question.numbers("marked", self.users().map(|user| user.0));
        let [places, users, ids] =
            self.rounds.first().map(|round| names(round)).unwrap_or_default();
        question.numbers("row_places", places);
        question.numbers("row_users", users);
        question.numbers("row_ids", ids);
    }

    /// Plans all marks; the entries of the last round are still to be written.
    pub(super) async fn apply(
        self,
        connection: &mut Connection,
        told: &mut GroupFacts,
        locked: &mut Locked,
        answers: &mut [Option<Answer>],
    ) -> Result<MarkRows, Failure> {
        let waiting = take(&mut told.with_steps);
        let mut plan = MarkPlan::default();
        for (nth, round) in self.rounds.iter().enumerate() {
            let found = if nth == 0 {
                take(&mut told.named_rows)
            } else {
                write(connection, &plan.take()).await?;
                named_rows(connection, round).await?
            };
            let named = sort(round, found);
            apply_round(connection, round, named, (&mut plan, &waiting), locked, answers).await?;
        }
        Ok(plan.take())
    }
}

async fn apply_round(
    connection: &mut Connection,
    round: &[(usize, &MarkPortion)],
    named: Vec<Option<Vec<Candidate>>>,
    (plan, waiting): (&mut MarkPlan, &HashSet<UserId>),
    locked: &mut Locked,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
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
    Ok(())
}

/// Writes the entries by themselves.
pub(super) async fn write(connection: &mut Connection, plan: &MarkRows) -> Result<(), Failure> {
    let mut batch = Batch::new();
    add(&mut batch, plan);
    batch.run(connection).await
}

/// Adds the entries to a batch; the heads are written with those of the whole group.
pub(super) fn add(batch: &mut Batch, plan: &MarkRows) {
    if plan.entries.is_empty() {
        return;
    }
    let sql = "UPDATE notifications n SET changed_seq = v.changed_seq, \
               read_at = CASE v.mark WHEN 'read' THEN v.at WHEN 'unread' THEN NULL \
               ELSE n.read_at END, \
               deleted_at = CASE v.mark WHEN 'delete' THEN v.at ELSE n.deleted_at END \
               FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::bigint[]) \
               AS v (recipient_id, seq, changed_seq, mark, at) \
               WHERE n.recipient_id = v.recipient_id AND n.seq = v.seq";
    let of = |value: fn(&ChangedEntry) -> i64| plan.entries.iter().map(value).collect::<Vec<_>>();
    let names: Vec<&str> = plan.entries.iter().map(|entry| name(entry.mark)).collect();
    batch
        .part(sql)
        .bind(of(|entry| entry.user.0))
        .bind(of(|entry| entry.seq.0))
        .bind(of(|entry| entry.changed_seq.0))
        .bind(names)
        .bind(of(|entry| entry.at.as_millisecond()));
    call_off_seen(batch, plan);
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
fn call_off_seen(batch: &mut Batch, plan: &MarkRows) {
    if plan.seen_by.is_empty() {
        return;
    }
    let sql = "UPDATE deliveries SET status = 'SUPPRESSED', rule = ? WHERE id IN \
               (SELECT d.id FROM deliveries d WHERE d.recipient_id = ANY(?) \
               AND d.until_seen IS NOT NULL AND d.status = 'QUEUED' AND d.leased_until IS NULL \
               AND d.digest_id IS NULL AND d.notification_id = ANY(?) ORDER BY d.id FOR UPDATE)";
    let users: Vec<i64> = plan.seen_by.iter().map(|user| user.0).collect();
    let seen: Vec<i64> = plan.seen.iter().map(|id| id.0).collect();
    batch.part(sql).bind(Rule::Seen.as_str()).bind(users).bind(seen);
}

/// What the marks name that only name rows: their places in the round, their users, and ids.
fn names(round: &[(usize, &MarkPortion)]) -> [Vec<i64>; 3] {
    let [mut places, mut users, mut ids] = <[Vec<i64>; 3]>::default();
    for (place, (_, portion)) in (0_i64..).zip(round) {
        for id in portion.selection.only_ids().into_iter().flatten() {
            places.push(place);
            users.push(portion.user.0);
            ids.push(id.0);
        }
    }
    [places, users, ids]
}

/// The rows that these marks name, by one query.
async fn named_rows(
    connection: &mut Connection,
    round: &[(usize, &MarkPortion)],
) -> Result<Vec<MarkedRow>, Failure> {
    let [places, users, ids] = names(round);
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT n.seq, n.id, n.read_at IS NOT NULL, n.deleted_at IS NULL, w.place \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS w (place, user_id, id) \
               JOIN notifications n ON n.id = w.id AND n.recipient_id = w.user_id";
    let query = sqlx::query_as(sql).bind(places).bind(users).bind(ids);
    Ok(query.fetch_all(connection).await?)
}

/// Each mark's own of the named rows; `None` for those that do not only name them.
fn sort(round: &[(usize, &MarkPortion)], found: Vec<MarkedRow>) -> Vec<Option<Vec<Candidate>>> {
    let only_names =
        |(_, portion): &(usize, &MarkPortion)| portion.selection.only_ids().map(|_| Vec::new());
    let mut rows: Vec<Option<Vec<Candidate>>> = round.iter().map(only_names).collect();
    for (seq, id, is_read, is_selected, place) in found {
        let list = usize::try_from(place).ok().and_then(|place| rows.get_mut(place)?.as_mut());
        if let Some(list) = list {
            list.push(candidate((seq, id, is_read, is_selected)));
        }
    }
    rows
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
    narrow::push_to(&mut sql, filter);
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
