//! Sends: their next recipients, and their positions after them. Their notifications are planned
//! and written with all others of the group.

use super::super::database::Connection;
use super::begin::Beginnings;
use super::context::Place;
use super::failure::Failure;
use super::question::GroupFacts;
use super::send_rows::Sends;
use super::step;
use super::{Answer, Done, Write};
use crate::send_chunks::Asked;

/// Finds the next recipients of the group's sends. Those without any, because they are refused,
/// repeated or finished, are answered here.
pub(super) async fn plan<'a>(
    connection: &mut Connection,
    place: Place<'_>,
    writes: &[&'a Write],
    told: Option<&GroupFacts>,
    answers: &mut [Option<Answer>],
) -> Result<Sends<'a>, Failure> {
    let mut sends = Sends::default();
    let (mut begins, mut continues) = (Vec::new(), Vec::new());
    for (at, write) in writes.iter().copied().enumerate() {
        if let Write::BeginSend(begin) = write {
            begins.push((at, &**begin));
        } else if let Write::ContinueSends { owner, ids, rows, now } = write {
            continues.push((at, Asked { owner, ids, rows: *rows, now: *now }));
        }
    }
    if !begins.is_empty() {
        let mut known = Beginnings::read(connection, place, &begins, told).await?;
        for (at, begin) in begins {
            match known.begin(connection, at, begin, &mut sends.records).await? {
                Ok(chunk) => sends.chunks.push(chunk),
                Err(outcome) => answers[at] = Some(Ok(Done::Begun(Box::new(outcome)))),
            }
        }
    }
    if !continues.is_empty() {
        step::go_on(connection, place, continues, &mut sends, answers).await?;
    }
    Ok(sends)
}
