//! Whom comments mention, and who may be mentioned: the same rule for all who ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bellpull_domain::comment::{Comment, may_see, mentioned, mentions, unfinished};
use bellpull_domain::confusable::folded;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::ticket::Ticket;
use bellpull_domain::user::User;
use bellpull_port::accounts::UserFilter;
use bellpull_port::{AccountStore, CommentStore, PageRequest, ProjectStore, TicketStore};
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::query::{Id, Params};
use super::responses as res;
use super::routes::Routes;
use super::tickets::visible;
use super::who::Who;

/// An `@` and the longest name are shorter.
const TEXT_MAX: usize = 200;
/// As many are offered: more are found by typing on.
const OFFERED_MAX: usize = 6;
/// As many accounts are looked at.
const LOOKED_AT: PageRequest = PageRequest { page: 1, page_size: 100 };

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list))
}

/// Whom a comment that is being written may mention: the accounts that it would notify and whose
/// name has what is typed after the `@` at the end of the text.
///
/// Admins are offered all of them; other callers the members of their project, and those who work
/// on the ticket or have commented on it.
#[utoipa::path(
    get, path = "/api/tickets/{id}/mentionable/", tag = "Tickets",
    params(doc::Id, doc::CommentStart), operation_id = "mentionable",
    responses((status = 200, description = "At most six of them.", body = res::Mentionable))
)]
async fn list(
    State(tickets): State<Arc<dyn TicketStore>>,
    State(accounts): State<Arc<dyn AccountStore>>,
    State(projects): State<Arc<dyn ProjectStore>>,
    State(comments): State<Arc<dyn CommentStore>>,
    Who(principal): Who,
    Id(id): Id,
    mut params: Params,
) -> Result<Json<res::Mentionable>, ApiError> {
    let ticket = visible(&*tickets, TicketId(id), &principal.caller()).await?;
    let text = params.bounded("text", TEXT_MAX).unwrap_or_default();
    params.finish()?;
    let Some(typed) = unfinished(&text) else {
        return Ok(Json(res::Mentionable::default()));
    };
    let is_open = is_open(&*projects, ticket.project).await?;
    let known = if principal.user.role.is_admin() {
        let search = Some(typed.to_owned()).filter(|typed| !typed.is_empty());
        accounts.list_users(&UserFilter { role: None, search }, LOOKED_AT).await?.rows
    } else {
        let mut ids = vec![ticket.created_by];
        ids.extend(&ticket.assigned_to);
        let said = comments.comments(ticket.id, LOOKED_AT).await?.rows;
        ids.extend(said.iter().map(|comment| comment.author));
        let mut known = tickets.users(&ids).await?;
        if !is_open && projects.is_member(ticket.project, principal.user.id).await? {
            known.extend(projects.members(ticket.project, LOOKED_AT).await?.rows);
        }
        known
    };
    let fits = fitting(&*comments, &ticket, is_open, known, typed, principal.user.id).await?;
    Ok(Json(res::Mentionable::new(typed, &fits)))
}

/// Those of the accounts that may see the ticket and fit what is typed.
async fn fitting(
    comments: &dyn CommentStore,
    ticket: &Ticket,
    is_open: bool,
    known: Vec<User>,
    typed: &str,
    caller: UserId,
) -> Result<Vec<User>, ApiError> {
    let wanted = folded(typed);
    let fits = |user: &User| {
        folded(&user.username).contains(&wanted) || folded(&user.full_name).contains(&wanted)
    };
    let fit = known.iter().filter(|user| fits(user) && user.id != caller);
    let (ids, names): (Vec<UserId>, Vec<String>) =
        fit.map(|user| (user.id, user.username.to_string())).unzip();
    let people = comments.people_named(&names, ticket.project).await?;
    let seen = people.into_iter().filter(|one| ids.contains(&one.0.id));
    let mut seeing: Vec<User> =
        seen.filter(|one| may_see(ticket, is_open, one)).map(|(user, _)| user).collect();
    // What begins so is what most mean.
    seeing.sort_by_key(|user| !folded(&user.username).starts_with(&wanted));
    seeing.truncate(OFFERED_MAX);
    Ok(seeing)
}

/// Comments with the mentions in them, as they notify now.
pub(super) async fn with_mentions(
    store: &dyn CommentStore,
    projects: &dyn ProjectStore,
    ticket: &Ticket,
    comments: Vec<Comment>,
) -> Result<Vec<res::Comment>, ApiError> {
    let names = comments.iter().flat_map(|comment| mentions(&comment.body));
    let names: Vec<String> = names.flat_map(|mention| mention.spellings).collect();
    let people = if names.is_empty() {
        Vec::new()
    } else {
        store.people_named(&names, ticket.project).await?
    };
    let is_open = !people.is_empty() && is_open(projects, ticket.project).await?;
    let seeing = people.iter().filter(|one| may_see(ticket, is_open, one));
    let seeing: Vec<&User> = seeing.map(|(user, _)| user).collect();
    let shown = comments.into_iter().map(|comment| {
        let found = mentioned(&comment.body, &seeing);
        res::Comment::new(comment, found)
    });
    Ok(shown.collect())
}

async fn is_open(projects: &dyn ProjectStore, id: ProjectId) -> Result<bool, ApiError> {
    Ok(projects.project(id).await?.is_some_and(|project| project.is_open))
}
