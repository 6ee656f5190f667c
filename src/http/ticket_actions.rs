//! `/api/tickets/{id}/{action}/`: the workflow actions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use bellpull_actors::directory::Tickets;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::ticket::{Command, Right, Rule, Step, WORKFLOW};
use bellpull_domain::user::{Role, User};
use bellpull_port::TicketStore;
use utoipa::openapi::ResponseBuilder;
use utoipa_axum::routes;

use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::openapi as doc;
use super::query::Id;
use super::responses as res;
use super::routes::{Documented, Routes};
use super::tickets::{commander, rights_first};
use super::who::Who;

/// A paragraph: it is part of every admin's notification.
const REASON_MAX: usize = 2_000;
/// A ticket's developers; each gets a notification on every channel.
const DEVELOPERS_MAX: usize = 100;

/// The route of each step of the workflow.
pub(super) fn routes() -> Routes {
    WORKFLOW.iter().map(documented).fold(Routes::default(), Routes::with)
}

/// The route of a step: a handler below, at the step's own path and with its own texts.
fn documented(rule: &'static Rule) -> Documented {
    let command = rule.step.command();
    let (schemas, mut paths, methods): Documented = if matches!(command, Command::Assign { .. }) {
        routes!(assign)
    } else if matches!(command, Command::Reject { .. }) {
        routes!(reject)
    } else {
        routes!(plain)
    };
    for mut item in std::mem::take(&mut paths.paths).into_values() {
        if let Some(operation) = &mut item.post {
            operation.summary = Some(rule.about.to_owned());
            operation.operation_id = Some(rule.name.to_owned());
            let denied = ResponseBuilder::new().description(denial(rule.by)).build();
            operation.responses.responses.insert("403".to_owned(), denied.into());
        }
        paths.paths.insert(format!("/api/tickets/{{id}}/{}/", rule.name), item);
    }
    (schemas, paths, methods.layer(Extension(rule.step)))
}

/// Why a caller without the right is denied.
fn denial(right: Right) -> &'static str {
    match right {
        Right::Admin => "The caller is no admin.",
        Right::AssignedDeveloper => "The caller is not on it.",
        Right::Creator => {
            "The caller did not raise it, and is no admin of a ticket whose creator is gone."
        }
        Right::CreatorOrAdmin => "The caller is no admin and did not raise it.",
    }
}

/// What a step extracts from a request, in the order of `act`.
type Request = (Extension<Step>, State<Tickets>, State<Arc<dyn TicketStore>>, Who, Id, Fields);

/// A step without content.
#[utoipa::path(
    post, path = "/api/tickets/{id}/step/", tag = "Tickets", params(doc::Id),
    request_body = doc::SeenTicket,
    responses(
        (status = 200, description = "The ticket as it is now.", body = res::Ticket),
        doc::TooLate,
    )
)]
async fn plain(request: Request) -> Result<Json<res::Ticket>, ApiError> {
    act(request).await
}

/// The step that takes developers.
#[utoipa::path(
    post, path = "/api/tickets/{id}/step/", tag = "Tickets", params(doc::Id),
    request_body = doc::Assignment,
    responses(
        (status = 200, description = "The ticket as it is now.", body = res::Ticket),
        doc::TooLate,
    )
)]
async fn assign(request: Request) -> Result<Json<res::Ticket>, ApiError> {
    act(request).await
}

/// The step that takes a reason.
#[utoipa::path(
    post, path = "/api/tickets/{id}/step/", tag = "Tickets", params(doc::Id),
    request_body = doc::Rejection,
    responses(
        (status = 200, description = "The ticket as it is now.", body = res::Ticket),
        doc::TooLate,
    )
)]
async fn reject(request: Request) -> Result<Json<res::Ticket>, ApiError> {
    act(request).await
}

async fn act(
    (Extension(step), State(tickets), State(store), Who(principal), Id(id), mut body): Request,
) -> Result<Json<res::Ticket>, ApiError> {
    let (caller, id) = (commander(&principal)?, TicketId(id));
    let (command, seen) = match command(step, &*store, &mut body).await {
        Ok(command) => command,
        Err(bad @ ApiError::Fields(_)) => {
            return Err(rights_first(&*store, id, &step.command(), &caller, bad).await);
        }
        Err(other) => return Err(other),
    };
    let ticket = tickets.command_at(id, command, caller, seen).await?;
    Ok(Json(ticket.into()))
}

/// The step's command, with what the body says; and the version that the caller has seen.
async fn command(
    step: Step,
    store: &dyn TicketStore,
    body: &mut Fields,
) -> Result<(Command, Option<i64>), ApiError> {
    let mut command = step.command();
    let seen = body.integer("version");
    if let Command::Assign { developers: chosen } = &mut command {
        let placed = body.placed_ids("developers", DEVELOPERS_MAX);
        *chosen = developers(store, body, &placed).await?;
    } else if let Command::Reject { reason } = &mut command {
        let sent = body.text_if_sent("reason", TextRule::prose(REASON_MAX));
        *reason = sent.unwrap_or_default().trim().to_owned();
    }
    body.finish()?;
    Ok((command, seen))
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
