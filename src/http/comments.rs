//! `/api/tickets/{id}/comments/`: the comments on a ticket.
//!
//! A comment goes through the ticket's actor, which resolves mentions and knows who may see the
//! ticket.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bellpull_actors::directory::{CommandError, Commented, Tickets};
use bellpull_domain::idempotency::Used;
use bellpull_domain::ids::{CommentId, TicketId};
use bellpull_port::{CommentStore, Page, ProjectStore, TicketStore};
use utoipa_axum::routes;

use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::mentions::with_mentions;
use super::once::{created, replayed};
use super::openapi as doc;
use super::page::Paging;
use super::query::Id;
use super::responses as res;
use super::routes::Routes;
use super::tickets::{commander, visible};
use super::who::Who;

/// Some five pages of text.
const BODY_MAX: usize = 10_000;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list, create))
}

/// The comments on a ticket, oldest first.
#[utoipa::path(
    get, path = "/api/tickets/{id}/comments/", tag = "Tickets", params(doc::Id, doc::Paged),
    operation_id = "comments",
    responses((status = 200, description = "A page of it.", body = res::Page<res::Comment>))
)]
async fn list(
    State(comments): State<Arc<dyn CommentStore>>,
    State(tickets): State<Arc<dyn TicketStore>>,
    State(projects): State<Arc<dyn ProjectStore>>,
    Who(principal): Who,
    Id(id): Id,
    paging: Paging,
) -> Result<Response, ApiError> {
    let ticket = visible(&*tickets, TicketId(id), &principal.caller()).await?;
    let page = comments.comments(ticket.id, paging.request()).await?;
    let rows = with_mentions(&*comments, &*projects, &ticket, page.rows).await?;
    paging.show(Page { count: page.count, rows }, |comment| comment).await
}

/// Adds a comment to a ticket; users who are mentioned by `@username` and may see the ticket are
/// notified.
#[utoipa::path(
    post, path = "/api/tickets/{id}/comments/", tag = "Tickets",
    params(doc::Id, doc::IdempotencyHeader), operation_id = "comment",
    request_body = doc::NewComment,
    responses(
        (status = 201, description = "The comment.", body = res::Comment),
        (status = 403, description = "The caller is a service."),
    )
)]
async fn create(
    State(tickets): State<Tickets>,
    State(store): State<Arc<dyn TicketStore>>,
    State(comments): State<Arc<dyn CommentStore>>,
    State(projects): State<Arc<dyn ProjectStore>>,
    Who(principal): Who,
    Id(id): Id,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let (caller, id) = (commander(&principal)?, TicketId(id));
    let key = body.key(caller.id, &format!("comment on {id}"))?;
    let text = body.text("body", TextRule::prose(BODY_MAX).not_blank());
    if let Err(bad) = body.finish() {
        // Validation errors are shown only to callers who may see the ticket.
        visible(&*store, id, &caller).await?;
        return Err(bad);
    }
    let comment = match tickets.comment_once(id, text, caller.clone(), key).await {
        Err(CommandError::Used(Used::Repeated(comment))) => CommentId(comment),
        made => {
            let Commented { comment, mentioned } = made?;
            return Ok(created(res::Comment::new(comment, mentioned)));
        }
    };
    let comment = comments.comment(id, comment).await?.ok_or(ApiError::NotFound)?;
    let ticket = visible(&*store, id, &caller).await?;
    let mut shown = with_mentions(&*comments, &*projects, &ticket, vec![comment]).await?;
    Ok(replayed(created(shown.pop())))
}
