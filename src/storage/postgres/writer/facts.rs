//! Reads the facts that a group's plan needs, and locks the rows that it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull_actors::domain::ids::{ProjectId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::domain::plan::{
    Address, Facts, Hook, KnownProject, KnownTicket, Members, Needs, Recipient,
};
use bellpull_actors::domain::routing::{Channel, Channels};
use sqlx::PgConnection;

use super::context::Place;
use super::failure::Failure;
use crate::storage::rows::json;

/// The locked inboxes.
#[derive(Debug, Default)]
pub(super) struct Locked {
    inboxes: BTreeMap<UserId, Inbox>,
    /// The users that are notified; the others' positions change only.
    notified: BTreeSet<UserId>,
    /// The users whose heads have changed.
    changed: BTreeSet<UserId>,
    /// How long it took to lock rows.
    took: Duration,
}

#[derive(Debug)]
struct Inbox {
    head: Head,
    recipient: Recipient,
}

impl Locked {
    /// How long it took to lock rows.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// The head of an inbox, before or after marks.
    pub(super) fn head(&self, user: UserId) -> Option<Head> {
        self.inboxes.get(&user).map(|inbox| inbox.head)
    }

    /// Marks have changed it.
    pub(super) fn change(&mut self, user: UserId, head: Head) {
        if let Some(inbox) = self.inboxes.get_mut(&user) {
            inbox.head = head;
            self.changed.insert(user);
        }
    }

    /// The facts with the recipients, as marks have left their inboxes.
    pub(super) fn recipients(&mut self, facts: Facts) -> Facts {
        let mut recipients = BTreeMap::new();
        for user in &self.notified {
            if let Some(inbox) = self.inboxes.get(user) {
                recipients.insert(*user, Recipient { head: inbox.head, ..inbox.recipient.clone() });
            }
        }
        Facts { recipients, ..facts }
    }

    /// The heads that marks have changed.
    pub(super) fn into_heads(self) -> BTreeMap<UserId, (Seq, i64)> {
        let Self { inboxes, changed, .. } = self;
        let heads = inboxes.into_iter().filter(|(user, _)| changed.contains(user));
        heads.map(|(user, inbox)| (user, (inbox.head.last_seq, inbox.head.unread_count))).collect()
    }
}

/// Reads the facts; `others` are recipients besides the announcements' own, and the inboxes of
/// `touched` are changed without an announcement.
pub(super) async fn read(
    connection: &mut PgConnection,
    place: Place<'_>,
    needs: &Needs<'_>,
    others: Vec<UserId>,
    touched: BTreeSet<UserId>,
) -> Result<(Facts, Locked), Failure> {
    let mut facts = Facts::default();
    let mut since = Instant::now();
    if !needs.tickets.is_empty() {
        facts.tickets = tickets(connection, &needs.tickets).await?;
    }
    if !needs.projects.is_empty() {
        facts.projects = projects(connection, &needs.projects).await?;
    }
    let mut took = since.elapsed();
    if needs.members {
        facts.members = members(connection).await?;
    }
    let mut notified = needs.recipients(&facts.members);
    notified.extend(others);
    let (mut hooks, mut browsers) = (Hooks::default(), HashMap::new());
    if place.channels.contains(Channel::Webhook)
        && !(notified.is_empty() && needs.hooks_of.is_empty())
    {
        hooks = read_hooks(connection, &notified, &needs.hooks_of).await?;
    }
    if place.channels.contains(Channel::Push) && !notified.is_empty() {
        browsers = read_browsers(connection, &notified).await?;
    }
    facts.hooks = std::mem::take(&mut hooks.of_projects);
    if !notified.is_empty() && !needs.events.is_empty() {
        facts.escalations = escalations(connection, needs).await?;
    }
    let users: Vec<i64> = notified.union(&touched).map(|user| user.0).collect();
    since = Instant::now();
    let mut locked = Locked { notified, ..Locked::default() };
    if !users.is_empty() {
        locked.inboxes = lock(connection, place, users, browsers, hooks.of_users).await?;
    }
    took += since.elapsed();
    locked.took = took;
    Ok((facts, locked))
}

/// Locks the tickets, and then reads what belongs to them: a statement that has waited for a lock
/// reads again the locked row only, and would miss steps that another node has just written.
async fn tickets(
    connection: &mut PgConnection,
    wanted: &BTreeSet<TicketId>,
) -> Result<HashMap<TicketId, KnownTicket>, Failure> {
    let wanted: Vec<i64> = wanted.iter().map(|id| id.0).collect();
    let sql = "SELECT 1 FROM tickets WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    sqlx::query(sql).bind(&wanted).execute(&mut *connection).await?;
    let sql = "SELECT t.id, t.version, t.deleted_at IS NOT NULL, \
               EXISTS (SELECT 1 FROM deliveries d WHERE d.until_seen = t.id \
               AND d.status = 'QUEUED'), ARRAY(SELECT a.user_id FROM ticket_assignees a \
               WHERE a.ticket_id = t.id ORDER BY a.position) \
               FROM tickets t WHERE t.id = ANY($1)";
    let found: Vec<(i64, i64, bool, bool, Vec<i64>)> =
        sqlx::query_as(sql).bind(wanted).fetch_all(connection).await?;
    let known = |(id, version, is_deleted, has_steps, assigned)| {
        let assigned_to = Vec::into_iter(assigned).map(UserId).collect();
        (TicketId(id), KnownTicket { version, is_deleted, has_steps, assigned_to })
    };
    Ok(found.into_iter().map(known).collect())
}

async fn projects(
    connection: &mut PgConnection,
    wanted: &BTreeSet<ProjectId>,
) -> Result<HashMap<ProjectId, KnownProject>, Failure> {
    let sql = "SELECT id, key, last_number FROM projects WHERE id = ANY($1) ORDER BY id \
               FOR NO KEY UPDATE";
    let wanted: Vec<i64> = wanted.iter().map(|id| id.0).collect();
    let found: Vec<(i64, String, i64)> =
        sqlx::query_as(sql).bind(wanted).fetch_all(connection).await?;
    let known = |(id, key, last_number)| (ProjectId(id), KnownProject { key, last_number });
    Ok(found.into_iter().map(known).collect())
}

async fn members(connection: &mut PgConnection) -> Result<Members, Failure> {
    let sql = "SELECT id, role = 'super_admin' FROM users \
               WHERE role IN ('admin', 'super_admin') AND is_active ORDER BY id";
    let found: Vec<(i64, bool)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let mut members = Members::default();
    for (id, is_super_admin) in found {
        members.admins.push(UserId(id));
        if is_super_admin {
            members.super_admins.push(UserId(id));
        }
    }
    Ok(members)
}

/// The policies of the events.
async fn escalations(
    connection: &mut PgConnection,
    needs: &Needs<'_>,
) -> Result<HashMap<String, Arc<bellpull_actors::domain::escalation::Escalation>>, Failure> {
    let events: Vec<&str> = needs.events.iter().copied().collect();
    let sql = "SELECT event, steps FROM escalations WHERE event = ANY($1)";
    let found: Vec<(String, String)> =
        sqlx::query_as(sql).bind(events).fetch_all(connection).await?;
    let mut escalations = HashMap::new();
    for (event, steps) in found {
        escalations.insert(event, Arc::new(json(&steps)?));
    }
    Ok(escalations)
}

/// The active webhooks of users and projects.
#[derive(Debug, Default)]
struct Hooks {
    of_users: HashMap<UserId, Vec<Hook>>,
    of_projects: HashMap<ProjectId, Vec<Hook>>,
}

async fn read_hooks(
    connection: &mut PgConnection,
    users: &BTreeSet<UserId>,
    projects: &BTreeSet<ProjectId>,
) -> Result<Hooks, Failure> {
    let sql = "SELECT user_id, project_id, id, lane, events FROM webhooks WHERE is_active \
               AND (user_id = ANY($1) OR project_id = ANY($2)) ORDER BY id";
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    let projects: Vec<i64> = projects.iter().map(|project| project.0).collect();
    type Row = (Option<i64>, Option<i64>, i64, String, String);
    let found: Vec<Row> =
        sqlx::query_as(sql).bind(users).bind(projects).fetch_all(connection).await?;
    let mut hooks = Hooks::default();
    for (user, project, id, lane, events) in found {
        let hook = Hook { address: Address { id, lane }, events: json(&events)? };
        if let Some(user) = user {
            hooks.of_users.entry(UserId(user)).or_default().push(hook);
        } else if let Some(project) = project {
            hooks.of_projects.entry(ProjectId(project)).or_default().push(hook);
        }
    }
    Ok(hooks)
}

async fn read_browsers(
    connection: &mut PgConnection,
    users: &BTreeSet<UserId>,
) -> Result<HashMap<UserId, Vec<Address>>, Failure> {
    let sql = "SELECT user_id, id, lane FROM push_subscriptions WHERE user_id = ANY($1) \
               ORDER BY id";
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    let found: Vec<(i64, i64, String)> =
        sqlx::query_as(sql).bind(users).fetch_all(connection).await?;
    let mut browsers: HashMap<UserId, Vec<Address>> = HashMap::new();
    for (user, id, lane) in found {
        browsers.entry(UserId(user)).or_default().push(Address { id, lane });
    }
    Ok(browsers)
}

type InboxRow = (i64, i64, i64, i64, bool, Option<String>, Option<String>);

/// Locks the inboxes in the order of their users, and reads what announcements need of those. Users
/// that do not exist are left out.
async fn lock(
    connection: &mut PgConnection,
    place: Place<'_>,
    users: Vec<i64>,
    mut browsers: HashMap<UserId, Vec<Address>>,
    mut hooks: HashMap<UserId, Vec<Hook>>,
) -> Result<BTreeMap<UserId, Inbox>, Failure> {
    let sql = "SELECT i.user_id, i.last_seq, i.unread_count, i.delivered_seq, u.email_verified, \
               p.body, (SELECT string_agg(a.channel, ',') FROM addresses a \
               WHERE a.user_id = i.user_id) FROM inboxes i JOIN users u ON u.id = i.user_id \
               LEFT JOIN preferences p ON p.user_id = i.user_id \
               WHERE i.user_id = ANY($1) ORDER BY i.user_id FOR NO KEY UPDATE OF i";
    let found: Vec<InboxRow> = sqlx::query_as(sql).bind(users).fetch_all(connection).await?;
    let mut inboxes = BTreeMap::new();
    for (user, last_seq, unread_count, delivered_seq, is_verified, preferences, channels) in found {
        let user = UserId(user);
        let head = Head {
            last_seq: Seq(last_seq),
            unread_count,
            delivered_seq: Seq(delivered_seq),
            ..Head::default()
        };
        let mut reach: Channels = channels.as_deref().map(named).unwrap_or_default();
        let browsers = browsers.remove(&user).unwrap_or_default();
        let hooks = hooks.remove(&user).unwrap_or_default();
        if !browsers.is_empty() {
            reach = reach.with(Channel::Push);
        }
        if !hooks.is_empty() {
            reach = reach.with(Channel::Webhook);
        }
        let preferences = preferences.map(|body| json(&body)).transpose()?.unwrap_or_default();
        let is_unverified = place.verify_email && !is_verified;
        let plain = Recipient::plain(head, reach);
        let recipient = Recipient { browsers, hooks, preferences, is_unverified, ..plain };
        inboxes.insert(user, Inbox { head, recipient });
    }
    Ok(inboxes)
}

fn named(channels: &str) -> Channels {
    channels.split(',').filter_map(Channel::from_name).collect()
}
