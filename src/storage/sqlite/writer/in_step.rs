//! The next chunk of sends in progress: reads their positions and their next recipients. The rules
//! are in [`bellpull_domain::plan::send::step`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::plan::send::claim::Claim;
use bellpull_domain::plan::send::step::{Standing, Turn};
use bellpull_domain::plan::send::{Audience, Progress};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::sends::{Chunk, Chunks};
use rusqlite::Connection;

use super::super::messages::content;
use super::super::multi_row::Cell;
use super::super::rows::{json, optional_timestamp, timestamp};
use super::super::statement::optional;
use super::Answer;
use super::Done;
use super::audience::{Candidates, Walk, next_of};
use super::context::Place;
use super::failure::Failure;
use super::send_rows::Sends;
use crate::send_chunks::{Asked, Reply, Running, SendChunk, SendText};

/// Plans the next chunk of the requested sends; several requests are planned one after the other.
pub(super) fn go_on<'a>(
    connection: &Connection,
    place: Place<'_>,
    asked: Vec<(usize, Asked<'a>)>,
    sends: &mut Sends<'a>,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let mut running: BTreeMap<SendId, Running<'a>> = BTreeMap::new();
    for (at, asked) in asked {
        for id in asked.ids {
            if !running.contains_key(id)
                && let Some(found) = read_running(connection, place, *id)?
            {
                running.insert(*id, found);
            }
        }
        let turn = step(connection, at, asked, &mut running, sends)?;
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
        let progress = Progress::after_chunk(send.standing.is_active).as_str();
        let claim = send.claim.filter(|_| send.standing.is_active);
        let claim = claim.map(|claim| (claim.owner, claim.until.as_millisecond()));
        let (owner, until) = claim.unzip();
        let owner = owner.map_or(Cell::Null, Cell::Text);
        let cursor = Cell::Int(send.standing.cursor.0);
        let row = [Cell::Int(id.0), cursor, progress.into(), owner, until.into()];
        sends.records.cursors.extend(row);
    }
    Ok(())
}

/// The next step of the sends in the turn; returns which these are.
fn step<'a>(
    connection: &Connection,
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
    let mut read: Vec<(&Audience, Walk, Candidates)> = Vec::new();
    for (nth, id) in asked.ids.iter().enumerate().filter(|(nth, _)| turn.goes_on[*nth]) {
        let Some(send) = running.get(id) else { continue };
        let walk = Walk { cursor: turn.behind, last: turn.last_for(&send.standing) };
        let portion = match &*send.audience {
            Audience::Users(users) => next_of(users, connection, walk, turn.share)?,
            group @ (Audience::Role(_) | Audience::Project(_) | Audience::All) => {
                let same = |(of, at, _): &&(&Audience, Walk, _)| *of == group && *at == walk;
                if let Some((.., found)) = read.iter().find(same) {
                    found.portion(walk, send.taken_in_ms)
                } else {
                    let found = Candidates::read(group, connection, walk, turn.share)?;
                    let portion = found.portion(walk, send.taken_in_ms);
                    read.push((group, walk, found));
                    portion
                }
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

type RunningRow = (i64, String, bool, i64, i64, bool, i64, i64, Option<String>, Option<i64>);

fn read_running(
    connection: &Connection,
    place: Place<'_>,
    id: SendId,
) -> Result<Option<Running<'static>>, Failure> {
    let sql = "SELECT message_id, channels, is_critical, last_user_id, cursor, \
               status = 'ACTIVE', due_at, created_at, claim_owner, claim_until FROM sends WHERE id = ?";
    let row: Option<RunningRow> = optional(connection, sql, (id.0,), |row| row.try_into())?;
    let Some(row) = row else { return Ok(None) };
    let (message_id, channels, is_critical, last_user, cursor, is_active, due_at, ..) = row;
    let (.., taken_in_ms, owner, until) = row;
    let claim = owner.zip(optional_timestamp(until)?);
    let channels: Vec<Channel> = json(&channels)?;
    Ok(Some(Running {
        message_id,
        content: content(place.contents, connection, message_id)?,
        audience: place.audiences.of(connection, id)?,
        channels: Channels::of(&channels),
        is_critical,
        taken_in_ms,
        standing: Standing {
            cursor: UserId(cursor),
            last_user: UserId(last_user),
            is_active,
            due_at: timestamp(due_at)?,
        },
        claim: claim.map(|(owner, until)| Claim { owner: owner.into(), until }),
        has_moved: false,
    }))
}
