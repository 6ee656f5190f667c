//! Reads inboxes and tickets over REST, for clients that catch up and for the checker.

use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::check::{Facts, Inbox, InboxRow, TicketFacts};
use super::family::{Family, Frame};
use super::people::{People, Person, Shared};
use super::request::{Outcome, Request, shown};
use super::socket::{Ended, Socket};
use crate::LoadError;

/// How long a read may take.
const READ: Duration = Duration::from_secs(5);
/// How often a read is tried: nodes are away, or frozen.
const TRIES: usize = 60;
/// The wait between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// Reads of the checker at once.
const READS: usize = 8;
/// The rows of a page: the most that a node gives.
const PAGE: u64 = 100;

/// A body from any node that answers.
///
/// # Errors
/// None does, or the answer is no success.
pub(super) async fn read(
    shared: &Shared,
    person: &Person,
    path: &str,
    rng: &mut Rng,
) -> Result<Value, LoadError> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match Request::get(path, &person.token).send(shared.node(rng)?, READ).await {
            Outcome::Answered(200, body) => return Ok(body),
            Outcome::Answered(status, body) => {
                return Err(LoadError::Failed(format!("{path}: {}", shown(status, &body))));
            }
            Outcome::NotDone(error) | Outcome::Unknown(error) => last = error,
        }
        sleep(PAUSE).await;
    }
    Err(LoadError::Failed(format!("{path}: {last}")))
}

/// A user's rows with higher numbers, in the order in which they are listed.
///
/// # Errors
/// See [`read`].
pub(super) async fn after(
    shared: &Shared,
    person: &Person,
    mut after: u64,
    rng: &mut Rng,
) -> Result<Vec<InboxRow>, LoadError> {
    let mut rows = Vec::new();
    loop {
        let path = format!("/api/notifications/?since_seq={after}&page_size={PAGE}");
        let page = read(shared, person, &path, rng).await?;
        let found: Vec<InboxRow> = results(&page).map(row).collect();
        let Some(last) = found.iter().map(|row| row.seq).max().filter(|last| *last > after) else {
            return Ok(rows);
        };
        after = last;
        rows.extend(found);
    }
}

/// A user's inbox.
///
/// # Errors
/// See [`read`].
pub(super) async fn inbox(
    shared: &Shared,
    person: &Person,
    rng: &mut Rng,
) -> Result<Inbox, LoadError> {
    let rows = after(shared, person, 0, rng).await?;
    let counts = read(shared, person, "/api/notifications/unread_count/", rng).await?;
    let unread_count = counts["unread_count"].as_u64().unwrap_or(u64::MAX);
    let head = head(shared, person, rng).await?;
    Ok(Inbox { rows, unread_count, head })
}

/// The number of an inbox' last change, as a new socket is told it.
async fn head(shared: &Shared, person: &Person, rng: &mut Rng) -> Result<u64, LoadError> {
    let path = format!("{}&replay=none&token={}", Family::V1.path(), person.token);
    let mut last = String::new();
    for _ in 0..TRIES {
        let node = shared.node(rng)?;
        let greeted = async { Socket::open(node, &path, READ).await?.hear().await };
        match timeout(READ, greeted).await {
            Ok(Ok(text)) => {
                if let Frame::Welcome { last_seq, .. } = Family::V1.read(&text) {
                    return Ok(last_seq);
                }
                last = text;
            }
            Ok(Err(Ended(error))) => last = error,
            Err(late) => last = late.to_string(),
        }
        sleep(PAUSE).await;
    }
    Err(LoadError::Failed(format!("{path}: {last}")))
}

/// A ticket's history and comments; `None` if there is no such ticket.
///
/// # Errors
/// See [`read`].
pub(super) async fn ticket(
    shared: &Shared,
    person: &Person,
    id: u64,
    rng: &mut Rng,
) -> Result<Option<TicketFacts>, LoadError> {
    let path = format!("/api/tickets/{id}/");
    let Ok(ticket) = read(shared, person, &path, rng).await else { return Ok(None) };
    let history = format!("{path}history/?page_size={PAGE}");
    let history = read(shared, person, &history, rng).await?;
    let comments = format!("{path}comments/?page_size={PAGE}");
    let comments = read(shared, person, &comments, rng).await?;
    let assigned = ticket["assigned_to"].as_array().into_iter().flatten();
    let entry = |line: &Value| (number(line, "version"), text(line, "action"), number(line, "by"));
    Ok(Some(TicketFacts {
        creator: number(&ticket, "created_by"),
        assigned_to: assigned.filter_map(Value::as_u64).collect(),
        history: results(&history).map(entry).collect(),
        comments: results(&comments).map(|comment| text(comment, "body")).collect(),
    }))
}

/// Everything that the checker compares: all inboxes, and these tickets.
///
/// # Errors
/// See [`read`].
pub(super) async fn facts(
    shared: &Shared,
    people: &People,
    tickets: Vec<u64>,
    rng: &mut Rng,
) -> Result<Facts, LoadError> {
    let everyone = people.listeners().chain(std::iter::once(&people.checker));
    let inboxes = everyone.map(|person| {
        let (shared, person, mut rng) = (shared.clone(), person.clone(), rng.fork());
        async move { Ok((person.id, inbox(&shared, &person, &mut rng).await?)) }
    });
    let inboxes = gather(inboxes.collect()).await?.into_iter().collect();
    let tickets = tickets.into_iter().map(|id| {
        let (shared, person, mut rng) = (shared.clone(), people.checker.clone(), rng.fork());
        async move { Ok((id, ticket(&shared, &person, id, &mut rng).await?)) }
    });
    let tickets = gather(tickets.collect()).await?.into_iter();
    let tickets = tickets.filter_map(|(id, ticket)| Some((id, ticket?))).collect();
    let admins = people.admins.iter().chain(std::iter::once(&people.checker));
    let admins = admins.map(|admin| admin.id).collect();
    Ok(Facts { inboxes, tickets, admins, may_leap: false })
}

/// The results of reads, a few of which are under way at once.
async fn gather<T, F>(reads: Vec<F>) -> Result<Vec<T>, LoadError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, LoadError>> + Send + 'static,
{
    let failed = |error: tokio::task::JoinError| LoadError::failed(error.to_string());
    let (mut under_way, mut results) = (JoinSet::new(), Vec::new());
    for read in reads {
        if under_way.len() >= READS
            && let Some(result) = under_way.join_next().await
        {
            results.push(result.map_err(failed)??);
        }
        under_way.spawn(read);
    }
    while let Some(result) = under_way.join_next().await {
        results.push(result.map_err(failed)??);
    }
    Ok(results)
}

fn results(page: &Value) -> impl Iterator<Item = &Value> {
    page["results"].as_array().into_iter().flatten()
}

fn row(row: &Value) -> InboxRow {
    InboxRow {
        seq: number(row, "seq"),
        id: number(row, "id"),
        event: text(row, "event"),
        title: text(row, "title"),
        ticket: row["ticket"].as_u64(),
        ticket_title: text(row, "ticket_title"),
        is_read: row["is_read"] == true,
    }
}

fn number(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_default()
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}
