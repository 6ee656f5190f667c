//! `/api/notifications/`: the caller's own inbox. Another user's notification does not exist here.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::Response;
use bellpull_actors::directory::Users;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::Kind;
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::{NotificationFilter, Selection};
use bellpull_port::{Clock, InboxStore};
use utoipa_axum::routes;

use super::error::ApiError;
use super::fields::Fields;
use super::openapi as doc;
use super::page::Paging;
use super::query::{EVENT_MAX, Id, Params};
use super::responses as res;
use super::routes::Routes;
use super::who::Who;
use super::{Edge, sends};

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(list, sends::send))
        .with(routes!(unread))
        .with(routes!(unread_count))
        .with(routes!(mark_all_as_read))
        .with(routes!(delete_all))
        .with(routes!(mark_as_read))
        .with(routes!(mark_as_unread))
        .with(routes!(read, delete))
}

/// The handles for an inbox: reading, marking, and announcing marks.
#[derive(Debug, Clone)]
struct Handles {
    inboxes: Arc<dyn InboxStore>,
    users: Users,
    clock: Arc<dyn Clock>,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        let (inboxes, clock) = (edge.store.clone(), Arc::clone(&edge.clock));
        Self { inboxes, users: edge.hub.users.clone(), clock }
    }
}

impl Handles {
    async fn page(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        paging: Paging,
    ) -> Result<Response, ApiError> {
        let page = self.inboxes.notifications(user, filter, paging.request().into()).await?;
        let (channel, now) = (filter.channel.unwrap_or(Channel::System), self.clock.now());
        paging.show(page, |row| res::Notification::new(row, channel, now)).await
    }

    async fn one(&self, user: UserId, id: NotificationId) -> Result<res::Notification, ApiError> {
        let row = self.inboxes.notification(user, id).await?.ok_or(ApiError::NotFound)?;
        Ok(res::Notification::new(row, Channel::System, self.clock.now()))
    }

    /// Marks rows and announces it to the user's sessions; returns how many rows changed.
    async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
    ) -> Result<usize, ApiError> {
        Ok(self.users.mark(user, selection, mark, self.clock.now()).await?)
    }
}

/// The caller's inbox, newest first.
#[utoipa::path(
    get, path = "/api/notifications/", tag = "Notifications",
    params(doc::ReadFilter, doc::NotificationFilters, doc::Paged),
    responses((status = 200, description = "A page of it.", body = res::Page<res::Notification>))
)]
async fn list(
    State(handles): State<Handles>,
    Who(principal): Who,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = filter(&mut params);
    params.finish()?;
    handles.page(principal.user.id, &filter, paging).await
}

/// The caller's unread notifications.
#[utoipa::path(
    get, path = "/api/notifications/unread/", tag = "Notifications",
    params(doc::NotificationFilters, doc::Paged),
    responses((status = 200, description = "A page of it.", body = res::Page<res::Notification>))
)]
async fn unread(
    State(handles): State<Handles>,
    Who(principal): Who,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = NotificationFilter { is_read: Some(false), ..narrow(&mut params) };
    params.finish()?;
    handles.page(principal.user.id, &filter, paging).await
}

/// The filters of a list, and of calls of many.
fn filter(params: &mut Params) -> NotificationFilter {
    NotificationFilter { is_read: params.boolean("is_read"), ..narrow(params) }
}

/// The filters that every list has.
pub(super) fn narrow(params: &mut Params) -> NotificationFilter {
    NotificationFilter {
        is_read: None,
        channel: params.choice("notification_type", Channel::from_name),
        kind: params.choice("type", Kind::from_name),
        event: params.bounded("event", EVENT_MAX).map(|name| Event::from_name(&name)),
        ticket: params.integer("ticket").map(TicketId),
        project: params.integer("project").map(ProjectId),
        since_seq: params.natural("since_seq").map(Seq),
    }
}

/// How many notifications the caller has not read.
#[utoipa::path(
    get, path = "/api/notifications/unread_count/", tag = "Notifications",
    responses((status = 200, description = "In all, and by channel.", body = res::UnreadCount))
)]
async fn unread_count(
    State(inboxes): State<Arc<dyn InboxStore>>,
    Who(principal): Who,
) -> Result<Json<res::UnreadCount>, ApiError> {
    let (count, by_channel) = inboxes.unread_counts(principal.user.id).await?;
    Ok(Json(res::UnreadCount::new(count, by_channel)))
}

/// One of the caller's notifications.
#[utoipa::path(
    get, path = "/api/notifications/{id}/", tag = "Notifications", params(doc::Id),
    responses((status = 200, description = "The row.", body = res::Notification))
)]
async fn read(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::Notification>, ApiError> {
    handles.one(principal.user.id, NotificationId(id)).await.map(Json)
}

/// Deletes a notification from the caller's inbox.
#[utoipa::path(
    delete, path = "/api/notifications/{id}/", tag = "Notifications", params(doc::Id),
    responses((status = 204, description = "It is gone."))
)]
async fn delete(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let selection = Selection::ids(vec![NotificationId(id)]);
    // A delete changes every row that exists, so no change means that there was none.
    match handles.mark(principal.user.id, selection, Mark::Delete).await? {
        0 => Err(ApiError::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Marks a notification as read; the caller's other sessions are told.
#[utoipa::path(
    post, path = "/api/notifications/{id}/mark_as_read/", tag = "Notifications", params(doc::Id),
    responses((status = 200, description = "The row as it is now.", body = res::MarkedOne))
)]
async fn mark_as_read(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::MarkedOne>, ApiError> {
    mark_one(&handles, principal.user.id, id, Mark::Read, "Notification marked as read").await
}

/// Marks a notification as unread; the caller's other sessions are told.
#[utoipa::path(
    post, path = "/api/notifications/{id}/mark_as_unread/", tag = "Notifications", params(doc::Id),
    responses((status = 200, description = "The row as it is now.", body = res::MarkedOne))
)]
async fn mark_as_unread(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::MarkedOne>, ApiError> {
    mark_one(&handles, principal.user.id, id, Mark::Unread, "Notification marked as unread").await
}

async fn mark_one(
    handles: &Handles,
    user: UserId,
    id: i64,
    mark: Mark,
    message: &'static str,
) -> Result<Json<res::MarkedOne>, ApiError> {
    let id = NotificationId(id);
    // Marking twice is no error; only the row itself tells it from marking a missing one.
    handles.mark(user, Selection::ids(vec![id]), mark).await?;
    let notification = handles.one(user, id).await?;
    Ok(Json(res::MarkedOne { message, notification }))
}

/// Marks all of the caller's notifications as read, or those that the query or the body selects.
/// A name that is not listed here is an error.
#[utoipa::path(
    post, path = "/api/notifications/mark_all_as_read/", tag = "Notifications",
    params(doc::ReadFilter, doc::NotificationFilters, doc::Bounds),
    request_body = doc::MarkSelection,
    responses((status = 200, description = "How many changed.", body = res::MarkedMany))
)]
async fn mark_all_as_read(
    State(handles): State<Handles>,
    Who(principal): Who,
    params: Params,
    body: Fields,
) -> Result<Json<res::MarkedMany>, ApiError> {
    let selection = selection(params, body)?;
    let count = handles.mark(principal.user.id, selection, Mark::Read).await?;
    let message = format!("{count} notification(s) marked as read");
    Ok(Json(res::MarkedMany { message, count }))
}

/// Deletes all notifications from the caller's inbox, or those that the query or the body selects.
/// A name that is not listed here is an error.
#[utoipa::path(
    delete, path = "/api/notifications/delete-all/", tag = "Notifications",
    params(doc::ReadFilter, doc::NotificationFilters, doc::Bounds),
    request_body = doc::MarkSelection,
    responses((status = 200, description = "How many are gone.", body = res::MarkedMany))
)]
async fn delete_all(
    State(handles): State<Handles>,
    Who(principal): Who,
    params: Params,
    body: Fields,
) -> Result<Json<res::MarkedMany>, ApiError> {
    let selection = selection(params, body)?;
    let count = handles.mark(principal.user.id, selection, Mark::Delete).await?;
    let message = format!("{count} notification(s) deleted");
    Ok(Json(res::MarkedMany { message, count }))
}

/// The most ids that a call of many names; without a bound, a body of them would be the longest
/// statement that clients can ask for.
const IDS_MAX: usize = 1_000;

/// What a call of many may be narrowed by: the filters of lists, and bounds of its own.
const SELECTION: [&str; 9] = [
    "is_read",
    "notification_type",
    "type",
    "event",
    "ticket",
    "project",
    "since_seq",
    "ids",
    "up_to",
];

/// The rows that the query or the body selects. Another name is an error, since what is not
/// understood would take more rows than were meant.
fn selection(mut params: Params, body: Fields) -> Result<Selection, ApiError> {
    params.add_body(body, ("ids", IDS_MAX));
    params.refuse_others(&SELECTION);
    let filter = filter(&mut params);
    let ids = params.integers("ids", IDS_MAX);
    let ids = ids.map(|ids| ids.into_iter().map(NotificationId).collect());
    let up_to = params.natural("up_to").map(Seq);
    if up_to.is_none() && params.has("up_to") {
        params.checked::<()>("up_to", Err("A valid integer is required."));
    }
    params.finish()?;
    Ok(Selection { ids, up_to, filter })
}
