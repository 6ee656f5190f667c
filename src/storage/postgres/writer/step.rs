//! The next chunk of sends in progress: reads their positions and their next recipients. The rules
//! are in [`bellpull_domain::plan::send::step`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::plan::send::claim::Claim;
use bellpull_domain::plan::send::step::{Standing, Turn};
use bellpull_domain::plan::send::{Audience, Progress};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::sends::{Chunk, Chunks};

use super::super::database::Connection;
use super::super::messages::content;
use super::audience::{Candidates, Walk, next_of};
use super::context::Place;
use super::failure::Failure;
use super::send_rows::{CursorRow, Sends};
use super::{Answer, Done};
use crate::rows::{json, optional_timestamp, timestamp};
use crate::send_chunks::{Asked, Reply, Running, SendChunk, SendText};

/// Plans the next chunk of the requested sends; several requests are planned one after the other.
pub(super) async fn go_on<'a>(
    connection: &mut Connection,
    place: Place<'_>,
    asked: Vec<(usize, Asked<'a>)>,
    sends: &mut Sends<'a>,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let ids: BTreeSet<SendId> = asked.iter().flat_map(|(_, asked)| asked.ids).copied().collect();
    let mut running: BTreeMap<SendId, Running<'a>> = read_running(connection, place, ids).await?;
    for (at, asked) in asked {
        let turn = step(connection, at, asked, &mut running, sends).await?;
        let chunk = |(id, had_turn)| {
            let send: &Running<'_> = running.get(id)?;
            let has_more = send.standing.goes_on(asked.now) && !send.is_held_from(asked);
            Some(Chunk { announced: None, has_more, had_turn })
        };
        let chunks = asked.ids.iter().zip(turn).map(chunk).collect();
        // How long it took is known when it is committed.
        answers[at] = Some(Ok(Done::Chunks(Chunks { chunks, took: Duration::ZERO })));
    }
    for (id, send) in running.into_iter().filter(|(_, send)| send.has_moved) {
        let claim = send.claim.filter(|_| send.standing.is_active);
        sends.records.cursors.push(CursorRow {
            send: id,
            cursor: send.standing.cursor,
            progress: Progress::after_chunk(send.standing.is_active),
            claim: claim.map(|claim| (claim.owner.into_owned(), claim.until.as_millisecond())),
        });
    }
    Ok(())
}

/// The next step of the sends in the turn; returns which these are.
async fn step<'a>(
    connection: &mut Connection,
    at: usize,
    asked: Asked<'a>,
    running: &mut BTreeMap<SendId, Running<'a>>,
    sends: &mut Sends<'_>,
) -> Result<Vec<bool>, Failure> {
    let standing = |id: &SendId| {
        running.get(id).filter(|send| !send.is_held_from(asked)).map(|send| send.standing)
    };
    let standings: Vec<Option<Standing>> = asked.ids.iter().map(standing).collect();
    let Some(turn) = Turn::of(&standings, asked.rows, asked.now) else {
        return Ok(vec![false; standings.len()]);
    };
    let mut portions = Vec::new();
    // Sends in step are often to the same group, which is read once.
    let mut read: Vec<(Arc<Audience>, Walk, Candidates)> = Vec::new();
    for (nth, id) in asked.ids.iter().enumerate().filter(|(nth, _)| turn.goes_on[*nth]) {
        let Some(send) = running.get(id) else { continue };
        let walk = Walk { cursor: turn.behind, last: turn.last_for(&send.standing) };
        let portion = if let Audience::Users(users) = &*send.audience {
            next_of(users, connection, walk, turn.share).await?
        } else {
            let same =
                |(of, at, _): &&(Arc<Audience>, Walk, _)| **of == *send.audience && *at == walk;
            if let Some((.., found)) = read.iter().find(same) {
                found.portion(walk, send.taken_in_ms)
            } else {
                let found = Candidates::read(&send.audience, connection, walk, turn.share).await?;
                let portion = found.portion(walk, send.taken_in_ms);
                read.push((Arc::clone(&send.audience), walk, found));
                portion
            }
        };
        portions.push((nth, *id, portion));
    }
    let until = turn.end(portions.iter().map(|(_, _, portion)| portion));
    for (nth, id, portion) in portions {
        let Some(send) = running.get_mut(&id) else { continue };
        let recipients = send.standing.advance(portion, until);
        send.claim = Some(Claim::new(asked.owner.as_str(), asked.now));
        send.has_moved = true;
        sends.chunks.push(SendChunk {
            at,
            send: id,
            message_id: send.message_id,
            text: SendText::Written(Arc::clone(&send.content)),
            recipients,
            only: None,
            channels: send.channels,
            is_critical: send.is_critical,
            now: asked.now,
            reply: Reply::Continued { nth },
        });
    }
    Ok(turn.had_turn)
}

#[derive(Debug, sqlx::FromRow)]
struct RunningRow {
    id: i64,
    message_id: i64,
    channels: String,
    is_critical: bool,
    last_user_id: i64,
    cursor: i64,
    is_active: bool,
    due_at: i64,
    created_at: i64,
    claim_owner: Option<String>,
    claim_until: Option<i64>,
}

/// Reads and locks them.
async fn read_running(
    connection: &mut Connection,
    place: Place<'_>,
    ids: BTreeSet<SendId>,
) -> Result<BTreeMap<SendId, Running<'static>>, Failure> {
    let sql = "SELECT id, message_id, channels, is_critical, last_user_id, cursor, \
               status = 'ACTIVE' AS is_active, due_at, created_at, claim_owner, claim_until \
               FROM sends WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    let rows: Vec<RunningRow> = sqlx::query_as(sql).bind(ids).fetch_all(&mut *connection).await?;
    let mut running = BTreeMap::new();
    for row in rows {
        let id = SendId(row.id);
        let claim = row.claim_owner.zip(optional_timestamp(row.claim_until)?);
        let channels: Vec<Channel> = json(&row.channels)?;
        let standing = Standing {
            cursor: UserId(row.cursor),
            last_user: UserId(row.last_user_id),
            is_active: row.is_active,
            due_at: timestamp(row.due_at)?,
        };
        running.insert(
            id,
            Running {
                message_id: row.message_id,
                content: content(place.contents, connection, row.message_id).await?,
                audience: place.audiences.of(connection, id).await?,
                channels: Channels::of(&channels),
                is_critical: row.is_critical,
                taken_in_ms: row.created_at,
                standing,
                claim: claim.map(|(owner, until)| Claim { owner: owner.into(), until }),
                has_moved: false,
            },
        );
    }
    Ok(running)
}
