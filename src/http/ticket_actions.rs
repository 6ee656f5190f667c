//! `/api/tickets/{id}/{action}/`: the workflow actions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bellpull_actors::directory::Tickets;
use bellpull_actors::domain::ids::{TicketId, UserId};
use bellpull_actors::domain::ticket::Command;
use bellpull_actors::domain::user::{Role, User};
use bellpull_actors::port::TicketStore;
use serde_json::Value;
use utoipa_axum::routes;

use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::openapi as doc;
use super::query::Id;
use super::routes::Routes;
use super::ticket_json::ticket_json;
use super::tickets::{commander, rights_first};
use super::who::Who;

/// A paragraph: it is part of every admin's notification.
const REASON_MAX: usize = 2_000;
/// A ticket's developers; each gets a notification on every channel.
const DEVELOPERS_MAX: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Action {
    Open,
    Assign,
    StartWork,
    FinishWork,
    Approve,
    Reject,
}

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(open))
        .with(routes!(assign))
        .with(routes!(start_work))
        .with(routes!(finish_work))
        .with(routes!(approve))
        .with(routes!(reject))
}

/// What an action extracts from a request, in the order of `act`.
type Step = (State<Tickets>, State<Arc<dyn TicketStore>>, Who, Id, Fields);

/// Opens a ticket; its creator is notified. For admins.
#[utoipa::path(
    post, path = "/api/tickets/{id}/open/", tag = "Tickets", params(doc::Id),
    responses(
        (status = 200, description = "The ticket as it is now.", body = doc::Ticket),
        (status = 403, description = "The caller is no admin."),
        doc::TooLate,
    )
)]
async fn open(step: Step) -> Result<Json<Value>, ApiError> {
    act(Action::Open, step).await
}

/// Assigns a ticket to developers; newly assigned ones are notified. For admins.
#[utoipa::path(
    post, path = "/api/tickets/{id}/assign/", tag = "Tickets", params(doc::Id),
    request_body = doc::Assignment,
    responses(
        (status = 200, description = "The ticket as it is now.", body = doc::Ticket),
        (status = 403, description = "The caller is no admin."),
        doc::TooLate,
    )
)]
async fn assign(step: Step) -> Result<Json<Value>, ApiError> {
    act(Action::Assign, step).await
}

/// Starts work on a ticket; its creator is notified. For assigned developers.
#[utoipa::path(
    post, path = "/api/tickets/{id}/start_work/", tag = "Tickets", params(doc::Id),
    responses(
        (status = 200, description = "The ticket as it is now.", body = doc::Ticket),
        (status = 403, description = "The caller is not on it."),
        doc::TooLate,
    )
)]
async fn start_work(step: Step) -> Result<Json<Value>, ApiError> {
    act(Action::StartWork, step).await
}

/// Finishes work on a ticket; the creator and all admins are notified. For assigned developers.
#[utoipa::path(
    post, path = "/api/tickets/{id}/finish_work/", tag = "Tickets", params(doc::Id),
    responses(
        (status = 200, description = "The ticket as it is now.", body = doc::Ticket),
        (status = 403, description = "The caller is not on it."),
        doc::TooLate,
    )
)]
async fn finish_work(step: Step) -> Result<Json<Value>, ApiError> {
    act(Action::FinishWork, step).await
}

/// Approves finished work; admins and the developers are notified. For the creator.
#[utoipa::path(
    post, path = "/api/tickets/{id}/approve/", tag = "Tickets", params(doc::Id),
    responses(
        (status = 200, description = "The ticket as it is now.", body = doc::Ticket),
        (status = 403, description = "The caller did not raise it."),
        doc::TooLate,
    )
)]
async fn approve(step: Step) -> Result<Json<Value>, ApiError> {
    act(Action::Approve, step).await
}

/// Rejects finished work; admins and the developers are notified. For the creator.
#[utoipa::path(
    post, path = "/api/tickets/{id}/reject/", tag = "Tickets", params(doc::Id),
    request_body = doc::Rejection,
    responses(
        (status = 200, description = "The ticket as it is now.", body = doc::Ticket),
        (status = 403, description = "The caller did not raise it."),
        doc::TooLate,
    )
)]
async fn reject(step: Step) -> Result<Json<Value>, ApiError> {
    act(Action::Reject, step).await
}

async fn act(
    action: Action,
    (State(tickets), State(store), Who(principal), Id(id), mut body): Step,
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
            let placed = body.placed_ids("developers", DEVELOPERS_MAX);
            Command::Assign { developers: developers(store, body, &placed).await? }
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

/// The action's command without content.
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

/// The developers with these ids, in order. Each entry that is not a developer is refused by its
/// position.
async fn developers(
    store: &dyn TicketStore,
    body: &mut Fields,
    placed: &[(usize, i64)],
) -> Result<Vec<User>, ApiError> {
    let ids: Vec<UserId> = placed.iter().map(|(_, id)| UserId(*id)).collect();
    let found = if ids.is_empty() { Vec::new() } else { store.users(&ids).await? };
    let mut found: HashMap<i64, User> = found.into_iter().map(|user| (user.id.0, user)).collect();
    let mut developers = Vec::with_capacity(found.len());
    for (place, id) in placed {
        let problem = match found.remove(id) {
            Some(user) if user.role == Role::Developer => {
                developers.push(user);
                continue;
            }
            Some(user) => format!("user \"{}\" is not a developer.", user.username),
            None => "there is no such user.".to_owned(),
        };
        body.refuse_entry("developers", *place, &id.to_string(), &problem);
    }
    Ok(developers)
}
