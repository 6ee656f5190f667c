//! `/api/notifications/`: the caller's own inbox, and nobody else's. Another's notification is
//! not there.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bellpull_actors::directory::Users;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::{Change, Mark};
use bellpull_actors::domain::notification::Kind;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::inbox::{NotificationFilter, Selection};
use bellpull_actors::port::{Clock, InboxStore};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::fields::Fields;
use super::guard::to_the_end;
use super::notification_json::notification_json;
use super::page::Paging;
use super::query::{Id, Params};
use super::who::Who;
use super::{Edge, at, sends};

/// The longest name that a sender may give an event.
pub(super) const EVENT_MAX: usize = 64;

pub(super) fn routes() -> Router<Edge> {
    let mut routes = at(Router::new(), "/api/notifications", get(list).post(sends::send));
    routes = at(routes, "/api/notifications/unread", get(unread));
    for path in ["unread_count", "unread-count"] {
        routes = at(routes, &format!("/api/notifications/{path}"), get(unread_count));
    }
    for path in ["mark_all_as_read", "mark-all-as-read"] {
        routes = at(routes, &format!("/api/notifications/{path}"), post(mark_all_as_read));
    }
    for path in ["delete-all", "delete_all"] {
        let methods = axum::routing::delete(delete_all);
        routes = at(routes, &format!("/api/notifications/{path}"), methods);
    }
    for path in ["mark_as_read", "mark-as-read"] {
        routes = at(routes, &format!("/api/notifications/{{id}}/{path}"), post(mark_as_read));
    }
    for path in ["mark_as_unread", "mark-as-unread"] {
        routes = at(routes, &format!("/api/notifications/{{id}}/{path}"), post(mark_as_unread));
    }
    at(routes, "/api/notifications/{id}", get(read).delete(delete))
}

/// An inbox' owner's hold on it: what reads, marks, and tells of the marks.
#[derive(Debug, Clone)]
struct Desk {
    inboxes: Arc<dyn InboxStore>,
    users: Users,
    clock: Arc<dyn Clock>,
}

impl FromRef<Edge> for Desk {
    fn from_ref(edge: &Edge) -> Self {
        let (inboxes, clock) = (Arc::clone(&edge.inboxes), Arc::clone(&edge.clock));
        Self { inboxes, users: edge.hub.users.clone(), clock }
    }
}

impl Desk {
    async fn page(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        paging: &Paging,
    ) -> Result<Json<Value>, ApiError> {
        let page = self.inboxes.notifications(user, filter, paging.request().into()).await?;
        let (channel, now) = (filter.channel.unwrap_or(Channel::System), self.clock.now());
        paging.show(&page, |row| notification_json(row, channel, now))
    }

    async fn one(&self, user: UserId, id: NotificationId) -> Result<Value, ApiError> {
        let row = self.inboxes.notification(user, id).await?.ok_or(ApiError::NotFound)?;
        Ok(notification_json(&row, Channel::System, self.clock.now()))
    }

    /// Marks rows and tells the user's sessions; how many rows changed.
    async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
    ) -> Result<usize, ApiError> {
        let Self { inboxes, users, clock } = self.clone();
        to_the_end(async move {
            let Some(marked) = inboxes.mark(user, selection, mark, clock.now()).await? else {
                return Ok(0);
            };
            let count = marked.ids.len();
            users.tell(user, Change::Marked(marked));
            Ok(count)
        })
        .await
    }
}

async fn list(
    State(desk): State<Desk>,
    Who(principal): Who,
    paging: Paging,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let filter = NotificationFilter { is_read: params.boolean("is_read"), ..narrow(&mut params) };
    params.finish()?;
    desk.page(principal.user.id, &filter, &paging).await
}

async fn unread(
    State(desk): State<Desk>,
    Who(principal): Who,
    paging: Paging,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let filter = NotificationFilter { is_read: Some(false), ..narrow(&mut params) };
    params.finish()?;
    desk.page(principal.user.id, &filter, &paging).await
}

/// The filters that every list has.
fn narrow(params: &mut Params) -> NotificationFilter {
    NotificationFilter {
        is_read: None,
        channel: params.choice("notification_type", Channel::from_name),
        kind: params.choice("type", Kind::from_name),
        event: params.bounded("event", EVENT_MAX).map(|name| Event::from_name(&name)),
        ticket: params.integer("ticket").map(TicketId),
        since_seq: params.natural("since_seq").map(Seq),
    }
}

async fn unread_count(
    State(inboxes): State<Arc<dyn InboxStore>>,
    Who(principal): Who,
) -> Result<Json<Value>, ApiError> {
    let (count, by_channel) = inboxes.unread_counts(principal.user.id).await?;
    let outgoing = by_channel.into_iter().filter(|(channel, _)| *channel != Channel::System);
    let mut by_type: Map<String, Value> =
        outgoing.map(|(channel, count)| (channel.as_str().to_owned(), json!(count))).collect();
    by_type.insert(Channel::System.as_str().to_owned(), json!(count));
    Ok(Json(json!({ "count": count, "unread_count": count, "by_type": by_type })))
}

async fn read(
    State(desk): State<Desk>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<Value>, ApiError> {
    desk.one(principal.user.id, NotificationId(id)).await.map(Json)
}

async fn delete(
    State(desk): State<Desk>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let selection = Selection::Ids(vec![NotificationId(id)]);
    // A delete changes every row that is there, so nothing changed means that there was none.
    match desk.mark(principal.user.id, selection, Mark::Delete).await? {
        0 => Err(ApiError::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

async fn mark_as_read(
    State(desk): State<Desk>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<Value>, ApiError> {
    mark_one(&desk, principal.user.id, id, Mark::Read, "Notification marked as read").await
}

async fn mark_as_unread(
    State(desk): State<Desk>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<Value>, ApiError> {
    mark_one(&desk, principal.user.id, id, Mark::Unread, "Notification marked as unread").await
}

async fn mark_one(
    desk: &Desk,
    user: UserId,
    id: i64,
    mark: Mark,
    message: &str,
) -> Result<Json<Value>, ApiError> {
    let id = NotificationId(id);
    // Marking twice is no error; only the row itself tells that from marking what is not there.
    desk.mark(user, Selection::Ids(vec![id]), mark).await?;
    let row = desk.one(user, id).await?;
    Ok(Json(json!({ "message": message, "notification": row })))
}

async fn mark_all_as_read(
    State(desk): State<Desk>,
    Who(principal): Who,
    mut params: Params,
    mut body: Fields,
) -> Result<Json<Value>, ApiError> {
    let selection = all_of(&mut params, &mut body)?;
    let count = desk.mark(principal.user.id, selection, Mark::Read).await?;
    let message = format!("{count} notification(s) marked as read");
    Ok(Json(json!({ "message": message, "count": count })))
}

async fn delete_all(
    State(desk): State<Desk>,
    Who(principal): Who,
    mut params: Params,
    mut body: Fields,
) -> Result<Json<Value>, ApiError> {
    let selection = all_of(&mut params, &mut body)?;
    let count = desk.mark(principal.user.id, selection, Mark::Delete).await?;
    let message = format!("{count} notification(s) deleted");
    Ok(Json(json!({ "message": message, "count": count })))
}

/// All rows, narrowed by what the query or the body says.
fn all_of(params: &mut Params, body: &mut Fields) -> Result<Selection, ApiError> {
    let channel = params.choice("notification_type", Channel::from_name);
    let channel = channel.or_else(|| body.choice("notification_type", Channel::from_name));
    let ticket = params.integer("ticket").or_else(|| body.integer("ticket")).map(TicketId);
    params.finish()?;
    body.finish()?;
    Ok(Selection::All { channel, ticket })
}
