//! `/api/projects/`: projects and their members.
//!
//! Admins create projects and manage members; other users see open projects and their own. A
//! removed member loses that project's streams immediately.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::Response;
use bellpull_actors::directory::Projects;
use bellpull_actors::domain::idempotency::Used;
use bellpull_actors::domain::ids::{ProjectId, UserId};
use bellpull_actors::domain::ticket::Project;
use bellpull_actors::port::{AccountStore, Clock, ProjectStore, StoreError};
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
use crate::auth::Principal;

/// The limit of clients' forms and columns.
const NAME_MAX: usize = 255;
/// A key is the prefix of its tickets' keys.
const KEY_MIN: usize = 2;
const KEY_MAX: usize = 10;

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
    projects: Projects,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        let (store, accounts) = (edge.store.clone(), edge.store.clone());
        Self { store, accounts, projects: edge.hub.projects.clone() }
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
        | StoreError::TooSlow
        | StoreError::Busy
        | StoreError::Unavailable(_)) => other.into(),
    })?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(member.into())))
}

/// Removes a member from a project; the project's streams end for that user.
#[utoipa::path(
    delete, path = "/api/projects/{id}/members/{user}/", tag = "Projects",
    params(doc::ProjectMember),
    responses(
        (status = 204, description = "They are off it."),
        (status = 403, description = "For admins."),
    )
)]
async fn remove_member(
    State(handles): State<Handles>,
    _: Admin,
    MemberIds { id, user }: MemberIds,
) -> Result<StatusCode, ApiError> {
    let (project, user) = (ProjectId(id), UserId(user));
    let was_member = spawn_uncancelled(async move {
        let was_member = handles.store.remove_member(project, user).await?;
        // Also if an earlier request removed the member: a client whose first attempt was cut off
        // must be able to retry.
        handles.projects.withdraw(project, user);
        Ok(was_member)
    });
    if was_member.await? { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound) }
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
