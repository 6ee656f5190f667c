//! The store is asked whether an inbox is what other nodes said of it.
//!
//! It costs one look at an index for each number that was claimed, in a query for up to a thousand
//! users and numbers at once: with the comparison every 30 s, when the last session ends, and when
//! another session of the user starts meanwhile. Until then the saved position stays behind, so
//! after a crash a client without `since` may be sent again what came in the last half minute.

use super::follow::Question;
use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::Reached;
use bellpull_port::inbox::Taken;
use bellpull_port::{InboxStore, StoreError};

/// The store's answer.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) question: Question,
    /// The inbox' last number.
    pub(super) last: Seq,
    /// Where the inbox is to be shown from again, if it is not what was shown.
    pub(super) from: Option<Seq>,
}

/// Asks.
pub(super) async fn ask(
    inboxes: &dyn InboxStore,
    user: UserId,
    question: Question,
) -> Result<Compared, StoreError> {
    let numbers: Vec<Seq> = question.claims.iter().map(|claim| claim.number).collect();
    // Before the head: a number up to that was taken by then.
    let holders = match numbers.is_empty() {
        true => Vec::new(),
        false => inboxes.holders(user, &numbers).await?,
    };
    let head = inboxes.head(user).await?;
    let is_other = |claim: &Taken| {
        claim.number > head.last_seq
            || holders.iter().any(|held| held.number == claim.number && held != claim)
    };
    let wrong = question.claims.iter().find(|claim| is_other(claim));
    let from = match wrong {
        Some(claim) => Some(Seq(claim.number.0 - 1).min(head.last_seq)),
        // Another history, of which only the store knows what was sent.
        None if question.at > Some(head.last_seq) => Some(head.delivered_seq),
        None => None,
    };
    Ok(Compared { question, last: head.last_seq, from })
}

/// The part of a position that the store confirms.
pub(super) async fn believed(
    inboxes: &dyn InboxStore,
    user: UserId,
    delivered: Seq,
    question: &Question,
) -> Result<Seq, StoreError> {
    if question.claims.is_empty() {
        return Ok(delivered);
    }
    let compared = ask(inboxes, user, question.clone()).await?;
    Ok(compared.from.map_or(delivered, |from| delivered.min(from)))
}

/// Saves positions if the store confirms them; returns what it refuses.
pub(super) async fn save(
    inboxes: &dyn InboxStore,
    user: UserId,
    reached: Reached,
    question: Question,
) -> Result<Option<Compared>, StoreError> {
    if !question.claims.is_empty() {
        let compared = ask(inboxes, user, question).await?;
        if compared.from.is_some() {
            return Ok(Some(compared));
        }
    }
    inboxes.save_reached(&[(user, reached)]).await?;
    Ok(None)
}
