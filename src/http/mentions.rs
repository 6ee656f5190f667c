//! Whom comments mention, and who may be mentioned: the same rule for all who ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bellpull_domain::comment::{Comment, may_see, mentioned, mentions, unfinished};
use bellpull_domain::confusable::folded;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::ticket::Ticket;
use bellpull_domain::user::User;
use bellpull_port::comments::Circle;
use bellpull_port::{CommentStore, ProjectStore, TicketStore};
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
/// So many accounts are read at once, until there are none left or enough are found.
const AT_ONCE: u32 = 500;

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
    let caller = &principal.user;
    let is_open = is_open(&*projects, ticket.project).await?;
    let circle = if caller.role.is_admin() {
        Circle::Staff
    } else if !is_open && projects.is_member(ticket.project, caller.id).await? {
        Circle::Members
    } else {
        Circle::Ticket
    };
    let mut offered = Offered::new(typed);
    let mut after = UserId(0);
    loop {
        let people = comments.people_around(&ticket, circle, after, AT_ONCE).await?;
        let seeing = people.iter().filter(|one| may_see(&ticket, is_open, one));
        let others = seeing.map(|(user, _)| user).filter(|user| user.id != caller.id);
        others.for_each(|user| offered.add(user));
        let is_last = people.len() < AT_ONCE as usize || offered.is_full();
        let Some((last, _)) = people.last().filter(|_| !is_last) else { break };
        after = last.id;
    }
    Ok(Json(res::Mentionable::new(typed, &offered.users())))
}

/// Those whose name has what is typed: first those whose username begins so, for most mean these.
struct Offered {
    typed: String,
    beginning: Vec<User>,
    having: Vec<User>,
}

impl Offered {
    fn new(typed: &str) -> Self {
        Self { typed: folded(typed), beginning: Vec::new(), having: Vec::new() }
    }

    fn add(&mut self, user: &User) {
        let name = folded(&user.username);
        if name.starts_with(&self.typed) {
            self.beginning.push(user.clone());
        } else if self.having.len() < OFFERED_MAX
            && (name.contains(&self.typed) || folded(&user.full_name).contains(&self.typed))
        {
            self.having.push(user.clone());
        }
    }

    fn is_full(&self) -> bool {
        self.beginning.len() >= OFFERED_MAX
    }

    fn users(self) -> Vec<User> {
        self.beginning.into_iter().chain(self.having).take(OFFERED_MAX).collect()
    }
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
