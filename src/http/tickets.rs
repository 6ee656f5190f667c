//! `/api/tickets/`: lists and single tickets.
//!
//! Changes go to the ticket's actor, which applies the rules; reads go to the store, and tickets
//! that the caller may not see do not exist.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bellpull_actors::directory::{CommandError, Tickets};
use bellpull_domain::idempotency::Used;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{
    Caller, Category, Command, Edit, Membership, NewTicket, Priority, Refusal, Status, Ticket,
    WORKFLOW, decide, is_visible,
};
use bellpull_domain::user::Role;
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{Page, Slice, TicketStore};
use utoipa_axum::routes;

use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::once::{created, replayed};
use super::openapi as doc;
use super::page::{NewestFirst, Paging};
use super::query::{Id, Params};
use super::read_turns::InTurn;
use super::responses as res;
use super::routes::Routes;
use super::who::Who;
use bellpull_auth::Principal;

/// The limit of clients' forms and columns.
const TITLE_MAX: usize = 255;
/// Some ten pages of text.
const DESCRIPTION_MAX: usize = 20_000;
const SEARCH_MAX: usize = 200;
const TOO_MANY_WORDS: &str = "Enter at most 16 words.";
/// How to make a list of tickets faster.
const NARROWER: &str = "Search for longer or fewer words, or narrow the list with created_by, \
                        assigned_to or project.";

/// What changes a ticket's status instead of a `PATCH`.
static STEPS_INSTEAD: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = WORKFLOW.iter().map(|rule| rule.name).collect();
    let names = names.join(", ");
    let (others, last) = names.rsplit_once(", ").unwrap_or_default();
    format!("This field is read-only: POST to the ticket's {others} or {last} instead.")
});

/// Other fields that a `PATCH` cannot change, and what does. A client that sends a whole ticket
/// back gets an error instead of the impression that it has moved the ticket.
const READ_ONLY: [(&str, &str); 3] = [
    ("assigned_to", "This field is read-only: POST {\"developers\": [ids]} to assign instead."),
    ("created_by", "This field is read-only."),
    ("project", "This field is read-only: a ticket stays in its project."),
];

/// Ids begin at 1.
const NO_PROJECT: ProjectId = ProjectId(0);

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(list, create))
        .with(routes!(read, edit, delete))
        .with(routes!(history))
        .with(routes!(assignees))
}

/// The tickets that the caller may see: clients see their own, developers those of their projects,
/// admins all.
#[utoipa::path(
    get, path = "/api/tickets/", tag = "Tickets", params(doc::TicketFilters, doc::Paged),
    responses(
        (
            status = 200, description = "A page of them, the newest first.",
            body = res::Page<res::Ticket>,
        ),
        doc::TooManyReads,
    )
)]
async fn list(
    State(store): State<Arc<dyn TicketStore>>,
    InTurn(Who(principal), _turn): InTurn<Who>,
    NewestFirst(paging): NewestFirst,
    mut params: Params,
) -> Result<Response, ApiError> {
    let user = &principal.user;
    let search = search(&mut params);
    let filter = TicketFilter {
        visible_to: (!user.role.is_admin()).then(|| (user.id, user.role.clone())),
        status: params.choice("status", Status::from_name),
        project: params.integer("project").map(ProjectId),
        priority: params.choice("priority", Priority::from_name),
        assigned_to: params.integer("assigned_to").map(UserId),
        created_by: params.integer("created_by").map(UserId),
        search,
    };
    params.finish()?;
    let page = store.tickets(&filter, paging.request()).await;
    let page = page.map_err(|error| ApiError::from(error).narrow(NARROWER))?;
    paging.show(page, res::Ticket::from).await
}

/// The words to search for.
pub(super) fn search(params: &mut Params) -> Option<Search> {
    let text = params.bounded("search", SEARCH_MAX)?;
    params.checked("search", Search::of(&text).map_err(|_| TOO_MANY_WORDS))
}

/// Creates a ticket; all admins are notified.
#[utoipa::path(
    post, path = "/api/tickets/", tag = "Tickets", request_body = doc::NewTicket,
    params(doc::IdempotencyHeader),
    responses(
        (status = 201, description = "The ticket.", body = res::Ticket),
        (status = 403, description = "The caller is not in the project, or is a service."),
        (status = 404, description = "No such project, or the caller may not know of it."),
    )
)]
async fn create(
    State(tickets): State<Tickets>,
    State(store): State<Arc<dyn TicketStore>>,
    Who(principal): Who,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let caller = commander(&principal)?;
    let key = body.key(caller.id, "")?;
    let new = NewTicket {
        title: body.text("title", TextRule::line(TITLE_MAX)),
        description: body
            .text_if_sent("description", TextRule::prose(DESCRIPTION_MAX))
            .unwrap_or_default(),
        priority: body.choice("priority", Priority::from_name).unwrap_or(Priority::Medium),
        category: body.choice("category", Category::from_name).unwrap_or(Category::Other),
    };
    let project = body.integer("project").map_or(ProjectId::DEFAULT, ProjectId);
    body.finish()?;
    match tickets.create_once(project, new, caller.clone(), key).await {
        Err(CommandError::Used(Used::Repeated(id))) => {
            let ticket = visible(&*store, TicketId(id), &caller).await?;
            Ok(replayed(created(res::Ticket::from(ticket))))
        }
        made => Ok(created(res::Ticket::from(made?))),
    }
}

/// A ticket.
#[utoipa::path(
    get, path = "/api/tickets/{id}/", tag = "Tickets", params(doc::Id),
    responses((status = 200, description = "The ticket.", body = res::Ticket))
)]
async fn read(
    State(store): State<Arc<dyn TicketStore>>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::Ticket>, ApiError> {
    let ticket = visible(&*store, TicketId(id), &principal.caller()).await?;
    Ok(Json(ticket.into()))
}

/// A ticket's history, in order.
#[utoipa::path(
    get, path = "/api/tickets/{id}/history/", tag = "Tickets", params(doc::Id, doc::Paged),
    responses((status = 200, description = "A page of it.", body = res::Page<res::HistoryEntry>))
)]
async fn history(
    State(store): State<Arc<dyn TicketStore>>,
    Who(principal): Who,
    Id(id): Id,
    paging: Paging,
) -> Result<Response, ApiError> {
    let ticket = visible(&*store, TicketId(id), &principal.caller()).await?;
    let page = store.history(ticket.id, paging.request()).await?;
    paging.show(page, res::HistoryEntry::from).await
}

/// A ticket's developers by name, for all who see the ticket: most of them may not list users.
#[utoipa::path(
    get, path = "/api/tickets/{id}/assignees/", tag = "Tickets", params(doc::Id, doc::Paged),
    responses((
        status = 200, description = "A page of them, in the order of `assigned_to`.",
        body = res::Page<res::Assignee>,
    ))
)]
async fn assignees(
    State(store): State<Arc<dyn TicketStore>>,
    Who(principal): Who,
    Id(id): Id,
    paging: Paging,
) -> Result<Response, ApiError> {
    let ticket = visible(&*store, TicketId(id), &principal.caller()).await?;
    let slice = Slice::from(paging.request());
    let (before, limit) = (slice.offset.unsigned_abs(), u64::from(slice.limit));
    let ids: Vec<UserId> = (0_u64..)
        .zip(&ticket.assigned_to)
        .filter(|(place, _)| (before..before + limit).contains(place))
        .map(|(_, id)| *id)
        .collect();
    let users = store.users(&ids).await?;
    let found = |id: &UserId| users.iter().find(|user| user.id == *id).map(res::Assignee::from);
    let rows = ids.iter().filter_map(found).collect();
    let count = i64::try_from(ticket.assigned_to.len()).unwrap_or(i64::MAX);
    paging.show(Page { count, rows }, |assignee| assignee).await
}

/// Changes a ticket's text, priority or category.
#[utoipa::path(
    patch, path = "/api/tickets/{id}/", tag = "Tickets", params(doc::Id),
    request_body = doc::TicketEdit,
    responses(
        (status = 200, description = "The ticket as it is now.", body = res::Ticket),
        (status = 403, description = "The caller may not."),
        (status = 409, description = "Another request changed it first."),
    )
)]
async fn edit(
    State(tickets): State<Tickets>,
    State(store): State<Arc<dyn TicketStore>>,
    Who(principal): Who,
    Id(id): Id,
    mut body: Fields,
) -> Result<Json<res::Ticket>, ApiError> {
    let (caller, id) = (commander(&principal)?, TicketId(id));
    let edit = Edit {
        title: body.text_if_sent("title", TextRule::line(TITLE_MAX)),
        description: body.text_if_sent("description", TextRule::prose(DESCRIPTION_MAX)),
        priority: body.choice("priority", Priority::from_name),
        category: body.choice("category", Category::from_name),
        version: body.integer("version"),
    };
    let read_only = READ_ONLY.into_iter().chain([("status", STEPS_INSTEAD.as_str())]);
    if read_only.clone().any(|(field, _)| body.has(field)) {
        let shown = visible(&*store, id, &caller).await?;
        body.unchanged(read_only, &res::Ticket::from(shown));
    }
    if let Err(bad) = body.finish() {
        let probe = Command::Edit(Edit::default());
        return Err(rights_first(&*store, id, &probe, &caller, bad).await);
    }
    let ticket = tickets.command(id, Command::Edit(edit), caller).await?;
    Ok(Json(ticket.into()))
}

/// Deletes a ticket.
#[utoipa::path(
    delete, path = "/api/tickets/{id}/", tag = "Tickets", params(doc::Id),
    responses(
        (status = 204, description = "It is gone."),
        (status = 403, description = "The caller may not."),
        (status = 409, description = "Another request changed it at the same time."),
    )
)]
async fn delete(
    State(tickets): State<Tickets>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let caller = commander(&principal)?;
    tickets.command(TicketId(id), Command::Delete, caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The author of a change. A service token's account is not stored, so no author could be recorded.
pub(super) fn commander(principal: &Principal) -> Result<Caller, ApiError> {
    if principal.is_service {
        let text = "A service token cannot act on tickets: log in as a user.";
        return Err(ApiError::Forbidden(text.to_owned()));
    }
    Ok(principal.caller())
}

/// The ticket, if the caller may see it.
pub(super) async fn visible(
    store: &dyn TicketStore,
    id: TicketId,
    caller: &Caller,
) -> Result<Ticket, ApiError> {
    let Some(ticket) = store.ticket(id).await? else {
        // The same reads as of another user's: so the time does not tell them apart.
        if caller.role == Role::Developer {
            is_on(store, NO_PROJECT, caller).await?;
        }
        return Err(ApiError::NotFound);
    };
    let membership = membership(store, &ticket, caller).await?;
    if is_visible(&ticket, caller, membership) { Ok(ticket) } else { Err(ApiError::NotFound) }
}

/// The caller's membership in the ticket's project; only read for developers, whose visibility
/// depends on it.
async fn membership(
    store: &dyn TicketStore,
    ticket: &Ticket,
    caller: &Caller,
) -> Result<Membership, ApiError> {
    if caller.role != Role::Developer || is_visible(ticket, caller, Membership::NonMember) {
        return Ok(Membership::NonMember);
    }
    let is_on = is_on(store, ticket.project, caller).await?;
    Ok(if is_on { Membership::Member } else { Membership::NonMember })
}

/// Whether the caller is a member of a project, as all users are of an open one.
async fn is_on(
    store: &dyn TicketStore,
    project: ProjectId,
    caller: &Caller,
) -> Result<bool, ApiError> {
    let is_open = store.project(project).await?.is_some_and(|project| project.is_open);
    Ok(is_open || store.is_member(project, caller.id).await?)
}

/// Validation errors are shown only to callers who may give the command at all: others get the
/// refusal first, as they do for a valid body.
pub(super) async fn rights_first(
    store: &dyn TicketStore,
    id: TicketId,
    probe: &Command,
    caller: &Caller,
    bad: ApiError,
) -> ApiError {
    let ticket = match visible(store, id, caller).await {
        Ok(ticket) => ticket,
        Err(refused) => return refused,
    };
    // The ticket is visible, and rights depend on nothing else that membership decides; the
    // decision is discarded, so any time will do.
    match decide(&ticket, probe, caller, Membership::Member, ticket.updated_at) {
        Err(refused @ (Refusal::NotFound | Refusal::Forbidden { .. })) => refused.into(),
        Ok(_)
        | Err(Refusal::WrongStatus { .. } | Refusal::Stale { .. } | Refusal::Invalid { .. }) => bad,
    }
}
