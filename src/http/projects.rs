//! `/api/projects/`: projects and their members.
//!
//! Admins create projects and manage members; other users see open projects and their own. A
//! removed member loses that project's streams immediately.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::Response;
use bellpull_actors::directory::{CommandError, Projects, Tickets};
use bellpull_domain::idempotency::Used;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::ticket::{Caller, Command, Project, Status};
use bellpull_domain::user::Role;
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{AccountStore, Clock, PageRequest, ProjectStore, StoreError, TicketStore};
use utoipa_axum::routes;

use super::Edge;
use super::body::Strict;
use super::error::ApiError;
use super::fields::TextRule;
use super::guard::spawn_uncancelled;
use super::once::{created, replayed};
use super::openapi as doc;
use super::page::Paging;
use super::query::{Id, MemberIds};
use super::responses as res;
use super::routes::Routes;
use super::who::{Admin, Who};
use bellpull_auth::Principal;

/// The limit of clients' forms and columns.
const NAME_MAX: usize = 255;
/// A key is the prefix of its tickets' keys.
const KEY_MIN: usize = 2;
const KEY_MAX: usize = 10;
/// Tickets that are read at once.
const READ_AT_ONCE: u32 = 100;

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(list, create))
        .with(routes!(read))
        .with(routes!(members, add_member))
        .with(routes!(remove_member))
}

/// The projects that the caller may see.
#[utoipa::path(
    get, path = "/api/projects/", tag = "Projects", params(doc::Paged),
    responses((status = 200, description = "A page of them.", body = res::Page<res::Project>))
)]
async fn list(
    State(store): State<Arc<dyn ProjectStore>>,
    Who(principal): Who,
    paging: Paging,
) -> Result<Response, ApiError> {
    let user = &principal.user;
    let visible_to = (!user.role.is_admin()).then_some(user.id);
    let page = store.projects(visible_to, paging.request()).await?;
    paging.show(page, res::Project::from).await
}

/// Creates a project; its creator becomes its first member.
#[utoipa::path(
    post, path = "/api/projects/", tag = "Projects", request_body = doc::NewProject,
    params(doc::IdempotencyHeader),
    responses(
        (status = 201, description = "The project.", body = res::Project),
        (status = 403, description = "For admins, and not for services."),
    )
)]
async fn create(
    State(store): State<Arc<dyn ProjectStore>>,
    State(clock): State<Arc<dyn Clock>>,
    Admin(principal): Admin,
    Strict(mut body): Strict,
) -> Result<Response, ApiError> {
    if principal.is_service {
        let text = "A service token cannot make a project, for its maker is its first member: log \
                    in as a user.";
        return Err(ApiError::Forbidden(text.to_owned()));
    }
    let key = body.text("key", TextRule::line(KEY_MAX));
    if !key.is_empty() && !is_key(&key) {
        let text = "Enter 2 to 10 of the characters A-Z and 0-9, beginning with a letter.";
        body.refuse("key", text);
    }
    let name = body.text("name", TextRule::line(NAME_MAX));
    body.finish()?;
    let creator = principal.user.id;
    let once = body.key(creator, "")?;
    match store.create_project_once(key, name, creator, once, clock.now()).await {
        Err(StoreError::Used(Used::Repeated(id))) => {
            let project = store.project(ProjectId(id)).await?.ok_or(ApiError::NotFound)?;
            Ok(replayed(created(res::Project::from(project))))
        }
        made => Ok(created(res::Project::from(made?))),
    }
}

/// A project.
#[utoipa::path(
    get, path = "/api/projects/{id}/", tag = "Projects", params(doc::Id),
    responses((status = 200, description = "The project.", body = res::Project))
)]
async fn read(
    State(store): State<Arc<dyn ProjectStore>>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::Project>, ApiError> {
    Ok(Json(visible(&*store, ProjectId(id), &principal).await?.into()))
}

/// A project's members.
#[utoipa::path(
    get, path = "/api/projects/{id}/members/", tag = "Projects", params(doc::Id, doc::Paged),
    responses((status = 200, description = "A page of it.", body = res::Page<res::Member>))
)]
async fn members(
    State(store): State<Arc<dyn ProjectStore>>,
    Who(principal): Who,
    Id(id): Id,
    paging: Paging,
) -> Result<Response, ApiError> {
    let project = visible(&*store, ProjectId(id), &principal).await?;
    let page = store.members(project.id, paging.request()).await?;
    paging.show(page, res::Member::from).await
}

/// The handles for changing members: the project's store, the accounts, and the project's streams.
#[derive(Debug, Clone)]
struct Handles {
    store: Arc<dyn ProjectStore>,
    accounts: Arc<dyn AccountStore>,
    tickets: Arc<dyn TicketStore>,
    commands: Tickets,
    projects: Projects,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        Self {
            store: edge.store.clone(),
            accounts: edge.store.clone(),
            tickets: edge.store.clone(),
            commands: edge.hub.tickets.clone(),
            projects: edge.hub.projects.clone(),
        }
    }
}

/// Adds a member to a project.
#[utoipa::path(
    post, path = "/api/projects/{id}/members/", tag = "Projects", params(doc::Id),
    request_body = doc::NewMember,
    responses(
        (status = 200, description = "They were on it already.", body = res::Member),
        (status = 201, description = "They are on it.", body = res::Member),
        (status = 403, description = "For admins."),
    )
)]
async fn add_member(
    State(handles): State<Handles>,
    Admin(principal): Admin,
    Id(id): Id,
    Strict(mut body): Strict,
) -> Result<(StatusCode, Json<res::Member>), ApiError> {
    let project = visible(&*handles.store, ProjectId(id), &principal).await?;
    let user = UserId(body.id("user"));
    body.finish()?;
    if project.is_open {
        let text = "This project is open to all users and has no list of members.";
        return Err(ApiError::field("user", text));
    }
    let unknown =
        || ApiError::field("user", format!("Invalid pk \"{user}\" - object does not exist."));
    let member = handles.accounts.user(user).await?.ok_or_else(unknown)?;
    let is_new = handles.store.add_member(project.id, user).await.map_err(|error| match error {
        StoreError::NotFound => unknown(),
        other @ (StoreError::Conflict
        | StoreError::Taken(_)
        | StoreError::TooSimilar(_)
        | StoreError::Used(_)
        | StoreError::LastSuperAdmin
        | StoreError::Unstorable
        | StoreError::TooSlow
        | StoreError::Busy
        | StoreError::Unavailable(_)) => other.into(),
    })?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(member.into())))
}

/// Removes a member from a project; the project's streams end for that user, who is taken off its
/// open tickets.
#[utoipa::path(
    delete, path = "/api/projects/{id}/members/{user}/", tag = "Projects",
    params(doc::ProjectMember),
    responses(
        (
            status = 200, description = "They are off it. The tickets that they were taken off.",
            body = res::Removed,
        ),
        (status = 403, description = "For admins."),
    )
)]
async fn remove_member(
    State(handles): State<Handles>,
    Admin(principal): Admin,
    MemberIds { id, user }: MemberIds,
) -> Result<Json<res::Removed>, ApiError> {
    let (project, user) = (ProjectId(id), UserId(user));
    let removed = spawn_uncancelled(async move {
        let was_member = handles.store.remove_member(project, user).await?;
        // Also if an earlier request removed the member: a client whose first attempt was cut off
        // must be able to retry.
        handles.projects.withdraw(project, user);
        let unassigned = handles.unassign(project, user, &principal).await?;
        Ok((was_member || !unassigned.is_empty()).then_some(res::Removed { unassigned }))
    });
    removed.await?.map(Json).ok_or(ApiError::NotFound)
}

impl Handles {
    /// Takes a user who is no member any more off the open tickets of a project. In an open project
    /// all users are members.
    async fn unassign(
        &self,
        project: ProjectId,
        user: UserId,
        principal: &Principal,
    ) -> Result<Vec<i64>, ApiError> {
        let is_closed = self.store.project(project).await?.is_some_and(|project| !project.is_open);
        let Some(developer) = self.accounts.user(user).await?.filter(|_| is_closed) else {
            return Ok(Vec::new());
        };
        // A service has no account that a history could name: it is the user who leaves.
        let caller = match principal.is_service {
            false => principal.caller(),
            true => Caller { role: Role::Admin, ..Caller::from(&developer) },
        };
        let mut unassigned = Vec::new();
        for ticket in self.open_tickets(project, user).await? {
            let command = Command::Unassign { developer: developer.clone() };
            match self.commands.command(ticket, command, caller.clone()).await {
                Ok(_) => unassigned.push(ticket.0),
                // Another request has taken the user off it, or deleted it.
                Err(CommandError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(unassigned)
    }

    /// The tickets of a project that a user is assigned to, but for those that are done.
    async fn open_tickets(
        &self,
        project: ProjectId,
        user: UserId,
    ) -> Result<Vec<TicketId>, ApiError> {
        let mut found = Vec::new();
        for status in Status::ALL.iter().filter(|status| **status != Status::Approved) {
            let (project, assigned_to) = (Some(project), Some(user));
            let status = Some(*status);
            let filter = TicketFilter { project, assigned_to, status, ..TicketFilter::default() };
            for page in 1.. {
                let page = PageRequest { page, page_size: READ_AT_ONCE };
                let rows = self.tickets.tickets(&filter, page).await?.rows;
                found.extend(rows.iter().map(|ticket| ticket.id));
                if u32::try_from(rows.len()).unwrap_or(0) < READ_AT_ONCE {
                    break;
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// The project, if the caller may see it.
async fn visible(
    store: &dyn ProjectStore,
    id: ProjectId,
    principal: &Principal,
) -> Result<Project, ApiError> {
    let project = store.project(id).await?;
    let user = &principal.user;
    let is_for_all = project.as_ref().is_some_and(|project| project.is_open);
    // Also of a project that does not exist: so the time does not tell it from one that does.
    let is_visible = is_for_all || user.role.is_admin() || store.is_member(id, user.id).await?;
    project.filter(|_| is_visible).ok_or(ApiError::NotFound)
}

fn is_key(text: &str) -> bool {
    (KEY_MIN..=KEY_MAX).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in ["WEB", "AB", "A1", "PROJECT123"] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "A", "web", "Web", "1AB", "A-B", "A B", "ÄB", "PROJECT1234"] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
