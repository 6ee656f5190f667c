//! `/api/tickets/{id}/{action}/`: the steps of the workflow.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bellpull_actors::directory::Tickets;
use bellpull_actors::domain::ids::{TicketId, UserId};
use bellpull_actors::domain::ticket::Command;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::TicketStore;
use serde_json::Value;

use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::query::Id;
use super::ticket_json::ticket_json;
use super::tickets::{commander, rights_first};
use super::who::Who;
use super::{Edge, at};

/// A paragraph: it stands in every admin's notification.
const REASON_MAX: usize = 2_000;
/// One ticket's developers; each of them gets a notification on every channel.
const DEVELOPERS_MAX: usize = 100;

/// The steps of the workflow in both spellings.
const ACTIONS: [(&str, Action); 8] = [
    ("open", Action::Open),
    ("assign", Action::Assign),
    ("start_work", Action::StartWork),
    ("start-work", Action::StartWork),
    ("finish_work", Action::FinishWork),
    ("finish-work", Action::FinishWork),
    ("approve", Action::Approve),
    ("reject", Action::Reject),
];

#[derive(Debug, Clone, Copy)]
enum Action {
    Open,
    Assign,
    StartWork,
    FinishWork,
    Approve,
    Reject,
}

pub(super) fn routes() -> Router<Edge> {
    ACTIONS.into_iter().fold(Router::new(), |routes, (name, action)| {
        let handler =
            move |tickets, store, who, id, body| act(action, tickets, store, who, id, body);
        at(routes, &format!("/api/tickets/{{id}}/{name}"), post(handler))
    })
}

async fn act(
    action: Action,
    State(tickets): State<Tickets>,
    State(store): State<Arc<dyn TicketStore>>,
    Who(principal): Who,
    Id(id): Id,
    mut body: Fields,
) -> Result<Json<Value>, ApiError> {
    let (caller, id) = (commander(&principal)?, TicketId(id));
    let command = match command(action, &*store, &mut body).await {
        Ok(command) => command,
        Err(bad @ ApiError::Fields(_)) => {
            return Err(rights_first(&*store, id, &probe(action), &caller, bad).await);
        }
        Err(other) => return Err(other),
    };
    let ticket = tickets.command(id, command, caller).await?;
    Ok(Json(ticket_json(&ticket)))
}

async fn command(
    action: Action,
    store: &dyn TicketStore,
    body: &mut Fields,
) -> Result<Command, ApiError> {
    let command = match action {
        Action::Assign => {
            let ids = body.ids("developers", DEVELOPERS_MAX);
            body.finish()?;
            Command::Assign { developers: developers(store, &ids).await? }
        }
        Action::Reject => {
            let reason = body.text_if_sent("reason", TextRule::prose(REASON_MAX));
            Command::Reject { reason: reason.unwrap_or_default().trim().to_owned() }
        }
        Action::Open | Action::StartWork | Action::FinishWork | Action::Approve => probe(action),
    };
    body.finish()?;
    Ok(command)
}

/// The action's command with nothing in it.
fn probe(action: Action) -> Command {
    match action {
        Action::Open => Command::Open,
        Action::Assign => Command::Assign { developers: Vec::new() },
        Action::StartWork => Command::StartWork,
        Action::FinishWork => Command::FinishWork,
        Action::Approve => Command::Approve,
        Action::Reject => Command::Reject { reason: String::new() },
    }
}

/// The accounts of these ids, in their order.
async fn developers(store: &dyn TicketStore, ids: &[i64]) -> Result<Vec<User>, ApiError> {
    let ids: Vec<UserId> = ids.iter().copied().map(UserId).collect();
    let mut found = store.users(&ids).await?;
    if let Some(missing) = ids.iter().find(|id| !found.iter().any(|user| user.id == **id)) {
        let text = format!("Invalid pk \"{missing}\" - object does not exist.");
        return Err(ApiError::field("developers", text));
    }
    found.sort_by_key(|user| ids.iter().position(|id| *id == user.id));
    Ok(found)
}
