//! Whether the accounts of a run have the roles that it counts on.
//!
//! A hub keeps an account's role from the first token that it saw. An account that was an admin of
//! another run, such as its sender, is also notified of tickets: what it receives would be taken
//! for a fault of the hub.

use std::time::Duration;

use serde_json::Value;

use super::LoadError;
use super::pipe::LoadUser;
use super::plan::Place;
use super::rest::Rest;
use super::tokens::{Participants, Roster};

/// Requests on their way at once, on one connection.
const AHEAD: usize = 64;
/// Accounts that an error names.
const NAMED: usize = 5;
/// The roles with rights of their own; every other one has a client's.
const OWN: [&str; 4] = ["super_admin", "admin", "developer", "client"];

/// Asks a hub for the role of each participant. A server that does not tell is none of ours.
///
/// # Errors
/// It does not answer; or the accounts with another role, by their ids.
pub fn check(
    place: &Place,
    participants: &Participants,
    roster: &Roster,
    patience: Duration,
) -> Result<(), LoadError> {
    let mut rest = place.connect(patience)?;
    let sender = participants.sender.iter().map(|sender| (sender, "admin"));
    let wanted: Vec<(&LoadUser, &str)> =
        participants.listeners.iter().zip(roster.roles()).chain(sender).collect();
    let mut other = Vec::new();
    for part in wanted.chunks(AHEAD) {
        for (user, _) in part {
            let token = format!("Authorization: Bearer {}", user.token);
            rest.send("GET", "/api/auth/me/", &[token], "")?;
        }
        for (user, wanted) in part {
            let Some(role) = role(&mut rest)? else { return Ok(()) };
            if rights(&role) != rights(wanted) {
                other.push(format!("{} is {role}, not {wanted}", user.id));
            }
        }
    }
    if other.is_empty() {
        return Ok(());
    }
    let more = other.len().saturating_sub(NAMED);
    other.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(LoadError::Wrong(format!(
        "--users: these accounts have other roles, perhaps from another run: {}{more}. Use other \
         accounts, or give them these roles (`bellpull user set --role`)",
        other.join(", ")
    )))
}

/// The role that the next answer says; `None` if it says none.
fn role(rest: &mut Rest) -> Result<Option<String>, LoadError> {
    let answer = rest.answer()?;
    if !answer.is_success() {
        return Ok(None);
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    Ok(body.and_then(|body| Some(body.get("role")?.as_str()?.to_owned())))
}

fn rights(role: &str) -> &str {
    if OWN.contains(&role) { role } else { "client" }
}
