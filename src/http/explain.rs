//! Why a user was notified or was not, and the state of each delivery.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::response::Response;
use bellpull_actors::channel::health::ChannelHealth;
use bellpull_actors::hub::Hub;
use bellpull_domain::delivery::{ProviderStatus, Rule};
use bellpull_domain::event::Event;
use bellpull_domain::explain::{NoWay, Person, Reach};
use bellpull_domain::ids::{DeliveryId, NotificationId, TicketId, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::preference::Preferences;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::ticket::Ticket;
use bellpull_domain::user::User;
use bellpull_domain::webhook::Webhook;
use bellpull_port::delivery_log::{AttemptRow, DeliveryRow};
use bellpull_port::explain::Announced;
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{
    DeliveryLog, EscalationStore, ExplainStore, PageRequest, PreferenceStore, TicketStore,
    WebhookStore,
};
use utoipa_axum::routes;

use super::Edge;
use super::error::ApiError;
use super::openapi as doc;
use super::page::Paging;
use super::query::{Id, Params};
use super::read_turns::InTurn;
use super::responses as res;
use super::routes::Routes;
use super::tickets::visible;
use super::who::Who;

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(notification)).with(routes!(ticket))
}

/// The stores that an explanation reads.
#[derive(Debug, Clone)]
struct Handles {
    explain: Arc<dyn ExplainStore>,
    log: Arc<dyn DeliveryLog>,
    preferences: Arc<dyn PreferenceStore>,
    tickets: Arc<dyn TicketStore>,
    escalations: Arc<dyn EscalationStore>,
    webhooks: Arc<dyn WebhookStore>,
    hub: Hub,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        Self {
            explain: edge.store.clone(),
            log: edge.store.clone(),
            preferences: edge.store.clone(),
            tickets: edge.store.clone(),
            escalations: edge.store.clone(),
            webhooks: edge.store.clone(),
            hub: edge.hub.clone(),
        }
    }
}

/// Why a notification was created, and the state of its delivery on each channel. For its
/// recipient, and for admins.
#[utoipa::path(
    get, path = "/api/notifications/{id}/explain/", tag = "Notifications", params(doc::Id),
    operation_id = "explain",
    responses((status = 200, description = "Why, and how.", body = res::Explanation))
)]
async fn notification(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::Explanation>, ApiError> {
    let announced =
        handles.explain.announcement(NotificationId(id)).await?.ok_or(ApiError::NotFound)?;
    let row = announced.row.ok_or(ApiError::NotFound)?;
    if row.recipient != principal.user.id && !principal.user.role.is_admin() {
        return Err(ApiError::NotFound);
    }
    let ticket = match announced.ticket {
        Some(ticket) => handles.tickets.ticket(ticket).await?,
        None => None,
    };
    let reader = handles.reader(row.recipient, std::slice::from_ref(&announced)).await?;
    let ways = handles.ways(&[row.id]).await?;
    Ok(Json(reader.explain(&announced, ticket.as_ref(), &ways)))
}

/// For each event of a ticket: whether a user was notified, and why or why not. For the caller; for
/// any user, if the caller is an admin.
#[utoipa::path(
    get, path = "/api/tickets/{id}/explain/", tag = "Tickets",
    operation_id = "explain", params(doc::Id, doc::ExplainWhom, doc::Paged),
    responses(
        (status = 200, description = "A page of it, oldest first.",
            body = res::Page<res::Explanation>),
        (status = 403, description = "Only admins ask about others."),
        doc::TooManyReads,
    )
)]
async fn ticket(
    State(handles): State<Handles>,
    InTurn(Who(principal), _turn): InTurn<Who>,
    Id(id): Id,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let user = params.integer("user").map_or(principal.user.id, UserId);
    params.finish()?;
    let ticket = visible(&*handles.tickets, TicketId(id), &principal.caller()).await?;
    if user != principal.user.id && !principal.user.role.is_admin() {
        return Err(ApiError::forbidden());
    }
    let page = handles.explain.announced(ticket.id, user, paging.request()).await?;
    let reader = handles.reader(user, &page.rows).await?;
    let announced: Vec<NotificationId> =
        page.rows.iter().filter_map(|one| one.row).map(|row| row.id).collect();
    let ways = handles.ways(&announced).await?;
    paging.show(page, |one| reader.explain(&one, Some(&ticket), &ways)).await
}

impl Handles {
    /// An account, and the settings that decide about its deliveries of these events.
    async fn reader(&self, user: UserId, announced: &[Announced]) -> Result<Reader, ApiError> {
        let found = self.tickets.users(&[user]).await?.pop();
        let user = found.ok_or_else(|| ApiError::field("user", "There is no such account."))?;
        let preferences = self.preferences.preferences(user.id).await?;
        let own = WhichWebhooks::Own(user.id);
        let webhooks = self.webhooks.webhooks(own, PageRequest { page: 1, page_size: 100 }).await?;
        let mut policies = HashMap::new();
        for Announced { event, row, .. } in announced {
            if row.is_some() && !policies.contains_key(event.as_str()) {
                let policy = self.escalations.escalation(event).await?;
                let named = policy.map_or(Channels::NONE, |policy| policy.escalation.channels());
                policies.insert(event.as_str().to_owned(), named);
            }
        }
        Ok(Reader {
            on: self.explain.channels(),
            has_browser: self.explain.has_browser(user.id).await?,
            webhooks: webhooks.rows,
            policies,
            user,
            preferences,
        })
    }

    /// The deliveries of these notifications, with their attempts.
    async fn ways(&self, of: &[NotificationId]) -> Result<Ways, ApiError> {
        let mut ways = Ways::default();
        if of.is_empty() {
            return Ok(ways);
        }
        let rows = self.log.deliveries_of(of).await?;
        let ids: Vec<DeliveryId> = rows.iter().map(|row| row.id).collect();
        if rows.iter().any(|row| row.status == DeliveryStatus::Queued) {
            let health = self.hub.channels.health().await;
            let waits = |one: &ChannelHealth| Some((one.channel, one.waits_because()?));
            ways.waits = health.iter().filter_map(waits).collect();
        }
        for attempt in self.log.attempts(&ids).await? {
            ways.attempts.entry(attempt.delivery).or_default().push(attempt);
        }
        for row in rows {
            let Some(notification) = row.notification else { continue };
            ways.deliveries.entry(notification).or_default().push(row);
        }
        Ok(ways)
    }
}

/// Deliveries by notification, attempts by delivery.
#[derive(Debug, Default)]
struct Ways {
    deliveries: HashMap<NotificationId, Vec<DeliveryRow>>,
    attempts: HashMap<DeliveryId, Vec<AttemptRow>>,
    /// Why a channel sends nothing.
    waits: HashMap<Channel, String>,
}

/// The user it is about.
#[derive(Debug)]
struct Reader {
    user: User,
    preferences: Preferences,
    on: Channels,
    has_browser: bool,
    webhooks: Vec<Webhook>,
    /// The channels in each event's escalation policy.
    policies: HashMap<String, Channels>,
}

impl Reader {
    fn reach(&self, event: &Event) -> Reach {
        let hears = |hook: &Webhook| {
            let is_named = hook.events.iter().any(|name| name == event.as_str());
            hook.is_active && (hook.events.is_empty() || is_named)
        };
        Reach {
            on: self.on,
            policy: self.policies.get(event.as_str()).copied().unwrap_or(Channels::NONE),
            has_browser: self.has_browser,
            has_webhook: self.webhooks.iter().any(hears),
        }
    }

    fn explain(&self, what: &Announced, ticket: Option<&Ticket>, ways: &Ways) -> res::Explanation {
        let person = Person {
            user: &self.user,
            preferences: &self.preferences,
            ticket: ticket.map(|ticket| (ticket.created_by, ticket.assigned_to.as_slice())),
        };
        let mut because: Vec<res::Reason> = match what.row {
            None => vec![person.why_not_told(&what.event, what.by).into()],
            Some(_) => person.why_told(&what.event).into_iter().map(res::Reason::from).collect(),
        };
        if because.is_empty() {
            because.push(res::Reason::THEN);
        }
        let none = Vec::new();
        let deliveries = what.row.and_then(|row| ways.deliveries.get(&row.id)).unwrap_or(&none);
        let channels = Channel::ALL.into_iter().filter(|one| *one != Channel::System);
        let channels = match what.row {
            None => Vec::new(),
            Some(_) => {
                let reach = self.reach(&what.event);
                let none =
                    |channel| person.why_no_way(&what.event, what.ticket.is_some(), channel, reach);
                channels.flat_map(|channel| ways_of(channel, deliveries, ways, none)).collect()
            }
        };
        res::Explanation {
            user: self.user.id.0,
            username: self.user.username.clone(),
            event: what.event.as_str().into(),
            by: what.by.map(|id| id.0),
            at: what.at,
            ticket: what.ticket.map(|id| id.0),
            told: what.row.is_some(),
            because,
            notification: what.row.map(|row| row.id.0),
            seq: what.row.map(|row| row.seq.0),
            read_at: what.row.and_then(|row| row.read_at),
            deleted_at: what.row.and_then(|row| row.deleted_at),
            channels,
        }
    }
}

/// The state of a channel: one line per address, or one that says why there is no delivery.
fn ways_of(
    channel: Channel,
    deliveries: &[DeliveryRow],
    ways: &Ways,
    why_none: impl Fn(Channel) -> Vec<NoWay>,
) -> Vec<res::Way> {
    let of_channel = deliveries.iter().filter(|row| row.channel == channel);
    let lines: Vec<res::Way> = of_channel.map(|row| way(row, ways)).collect();
    if !lines.is_empty() {
        return lines;
    }
    let because = why_none(channel);
    let texts: Vec<&str> = because.iter().map(|why| why.text()).collect();
    vec![res::Way {
        channel: channel.as_str(),
        delivery: None,
        status: None,
        rule: None,
        text: format!("Not sent here. {}", texts.join(" ")),
        because: because.into_iter().map(res::NoWay::from).collect(),
        due_at: None,
        sent_at: None,
        provider_status: None,
        attempts: Vec::new(),
    }]
}

fn way(row: &DeliveryRow, ways: &Ways) -> res::Way {
    let attempts = ways.attempts.get(&row.id).map(Vec::as_slice).unwrap_or_default();
    res::Way {
        channel: row.channel.as_str(),
        delivery: Some(row.id.0),
        status: Some(row.status.as_str()),
        rule: row.rule.map(Rule::as_str),
        text: text(row, ways.waits.get(&row.channel).map(String::as_str)),
        because: Vec::new(),
        due_at: Some(row.due_at),
        sent_at: row.sent_at,
        provider_status: row.provider_status.map(ProviderStatus::as_str),
        attempts: attempts.iter().map(res::AttemptMade::from).collect(),
    }
}

/// The state of a delivery, as a text for users; `waits`: why its channel sends nothing.
fn text(row: &DeliveryRow, waits: Option<&str>) -> String {
    let text = state(row);
    match waits {
        Some(waits) if row.status == DeliveryStatus::Queued => format!("{text} {waits}"),
        Some(_) | None => text,
    }
}

fn state(row: &DeliveryRow) -> String {
    let (due_at, attempts) = (row.due_at, row.attempts);
    let unless = if row.is_until_seen { ", unless it is seen by then" } else { "" };
    match (row.status, row.rule) {
        (DeliveryStatus::Suppressed, Some(Rule::NoAddress)) => {
            "Held back: the account has no address there.".to_owned()
        }
        (DeliveryStatus::Suppressed, Some(Rule::Unsubscribed)) => {
            "Held back: ended by the link in an e-mail.".to_owned()
        }
        (DeliveryStatus::Suppressed, Some(Rule::Seen)) => {
            "Called off: it was seen before it went out.".to_owned()
        }
        (DeliveryStatus::Suppressed, Some(Rule::MovedOn)) => {
            "Called off: the ticket moved on before its step was due.".to_owned()
        }
        (DeliveryStatus::Suppressed, Some(Rule::Unverified)) => {
            "Held back: the e-mail address is not confirmed.".to_owned()
        }
        (DeliveryStatus::Suppressed, Some(Rule::NotVisible)) => {
            "Called off: its recipient could not see the ticket any more.".to_owned()
        }
        (DeliveryStatus::Suppressed, Some(Rule::Expired)) => {
            "Held back: the link in it was no longer good.".to_owned()
        }
        (DeliveryStatus::Suppressed, _) => "Held back: not wanted on this channel.".to_owned(),
        (DeliveryStatus::Sent, _) => "The provider took it.".to_owned(),
        (DeliveryStatus::Failed, _) => format!("Given up after {attempts} attempt(s)."),
        (DeliveryStatus::Queued, _) if row.leased_until.is_some() => "On its way.".to_owned(),
        (DeliveryStatus::Queued, _) if attempts > 0 => {
            format!("Tried {attempts} time(s); again at {due_at:.3}{unless}.")
        }
        (DeliveryStatus::Queued, Some(Rule::QuietHours)) => {
            format!("Waits for the end of quiet hours at {due_at:.3}{unless}.")
        }
        (DeliveryStatus::Queued, Some(Rule::Digest)) => {
            format!("Waits for the digest at {due_at:.3}{unless}.")
        }
        (DeliveryStatus::Queued, Some(Rule::Escalation)) => {
            format!("Goes out at {due_at:.3}{unless}.")
        }
        (DeliveryStatus::Queued, _) => format!("Queued; due at {due_at:.3}."),
    }
}
