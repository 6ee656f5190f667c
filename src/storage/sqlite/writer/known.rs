//! What the tables say of a group's tickets, projects, groups of people and inboxes, before it is
//! applied: two queries, however many requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bellpull_actors::domain::escalation::Escalation;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{ProjectId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::domain::preference::Preferences;
use bellpull_actors::domain::routing::{Channel, Channels, Group};
use bellpull_actors::domain::user::Role;
use bellpull_actors::domain::webhook;
use sqlx::SqliteConnection;

use super::super::multi_row::id_list;
use super::super::rows::json;
use super::group::Failure;
use super::rows::text;

/// A ticket that exists, as far as the next decision about it is concerned.
#[derive(Debug, Clone)]
pub(super) struct KnownTicket {
    pub(super) version: i64,
    pub(super) is_deleted: bool,
    pub(super) assigned_to: Vec<UserId>,
    /// Whether something may be called off when it moves on.
    pub(super) has_steps: bool,
}

/// A project's counter of tickets.
#[derive(Debug, Clone)]
pub(super) struct KnownProject {
    pub(super) key: String,
    pub(super) last_number: i64,
}

/// The active users of the groups that can be told.
#[derive(Debug, Default)]
pub(super) struct Members {
    admins: Vec<UserId>,
    super_admins: Vec<UserId>,
}

impl Members {
    /// The group's; nobody for no group.
    pub(super) fn of(&self, group: Option<Group>) -> &[UserId] {
        match group {
            None => &[],
            Some(Group::Admins) => &self.admins,
            Some(Group::SuperAdmins) => &self.super_admins,
        }
    }
}

/// An address on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Which of the account's; 0 where it has one at most.
    pub(super) id: i64,
    /// What is slow with it; empty for a channel with one provider.
    pub(super) lane: String,
}

/// The only one that an account has on a channel.
static OWN: Address = Address { id: 0, lane: String::new() };

/// A webhook that may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) address: Address,
    /// What it hears of.
    pub(super) events: Vec<String>,
}

type HookRow = (i64, String, Vec<String>);

impl Hook {
    fn of((id, lane, events): HookRow) -> Self {
        Self { address: Address { id, lane }, events }
    }

    pub(super) fn hears(&self, event: &Event) -> bool {
        webhook::hears(&self.events, event)
    }
}

/// What the first query found.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) tickets: HashMap<TicketId, KnownTicket>,
    pub(super) projects: HashMap<ProjectId, KnownProject>,
    pub(super) members: Members,
    /// The projects' webhooks.
    pub(super) hooks: HashMap<ProjectId, Vec<Hook>>,
}

/// What the first query looks for.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) tickets: BTreeSet<TicketId>,
    pub(super) projects: BTreeSet<ProjectId>,
    /// Whether somebody of this group of writes needs the members of groups.
    pub(super) needs_members: bool,
    /// Those whose webhooks are told.
    pub(super) announcing: BTreeSet<ProjectId>,
}

/// All in one row: each row of its own would cost more than its JSON.
const READ: &str = "SELECT \
    (SELECT json_group_array(json_array(t.id, t.version, t.deleted_at IS NOT NULL, \
        (SELECT json_group_array(a.user_id ORDER BY a.position) FROM ticket_assignees a \
         WHERE a.ticket_id = t.id), EXISTS (SELECT 1 FROM deliveries d \
         INDEXED BY deliveries_until_moved WHERE d.until_seen = t.id AND d.status = 'QUEUED' \
         AND d.leased_until IS NULL))) \
     FROM tickets t WHERE t.id IN (SELECT value FROM json_each(?1))), \
    (SELECT json_group_array(json_array(p.id, p.key, p.last_number)) \
     FROM projects p WHERE p.id IN (SELECT value FROM json_each(?2))), \
    (SELECT json_group_array(json_array(u.id, u.role)) \
     FROM users u WHERE ?3 AND u.role IN ('admin', 'super_admin') AND u.is_active = 1), \
    (SELECT json_group_array(json_array(w.project_id, json_array(w.id, w.lane, json(w.events)))) \
     FROM webhooks w WHERE w.project_id IN (SELECT value FROM json_each(?4)) AND w.is_active = 1)";

type TicketRow = (TicketId, i64, i64, Vec<UserId>, i64);

impl Known {
    /// Reads them.
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        sought: &Sought,
    ) -> Result<Self, Failure> {
        let found: (String, String, String, String) = sqlx::query_as(READ)
            .bind(id_list(sought.tickets.iter().map(|id| id.0)))
            .bind(id_list(sought.projects.iter().map(|id| id.0)))
            .bind(sought.needs_members)
            .bind(id_list(sought.announcing.iter().map(|id| id.0)))
            .fetch_one(connection)
            .await?;
        let (tickets, projects, members, called) = found;
        let tickets: Vec<TicketRow> = json(&tickets)?;
        let projects: Vec<(ProjectId, String, i64)> = json(&projects)?;
        let people: Vec<(UserId, Role)> = json(&members)?;
        let mut members = Members::default();
        for (user, role) in people {
            members.admins.push(user);
            if role == Role::SuperAdmin {
                members.super_admins.push(user);
            }
        }
        let called: Vec<(ProjectId, HookRow)> = json(&called)?;
        let mut hooks: HashMap<ProjectId, Vec<Hook>> = HashMap::new();
        for (project, hook) in called {
            hooks.entry(project).or_default().push(Hook::of(hook));
        }
        let ticket = |(id, version, deleted, assigned_to, steps)| {
            let (is_deleted, has_steps) = (deleted != 0, steps != 0);
            (id, KnownTicket { version, is_deleted, assigned_to, has_steps })
        };
        let project = |(id, key, last_number)| (id, KnownProject { key, last_number });
        Ok(Self {
            tickets: tickets.into_iter().map(ticket).collect(),
            projects: projects.into_iter().map(project).collect(),
            members,
            hooks,
        })
    }

    /// The webhooks of a project that hear of an event.
    pub(super) fn called(&self, project: ProjectId, event: &Event) -> Vec<Address> {
        let hooks = self.hooks.get(&project).into_iter().flatten();
        hooks.filter(|hook| hook.hears(event)).map(|hook| hook.address.clone()).collect()
    }
}

/// An inbox that is marked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inbox {
    pub(super) head: Head,
    /// Whether something may be called off when a row of it is seen.
    pub(super) has_steps: bool,
}

/// These users' inboxes; users that do not exist are left out.
pub(super) async fn inboxes(
    connection: &mut SqliteConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<BTreeMap<UserId, Inbox>, Failure> {
    let sql = "SELECT json_group_array(json_array(u.id, ifnull(i.last_seq, 0), \
               ifnull(i.unread_count, 0), ifnull(i.delivered_seq, 0), \
               EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_until_seen \
               WHERE d.recipient_id = u.id AND d.until_seen IS NOT NULL \
               AND d.status = 'QUEUED' AND d.leased_until IS NULL))) \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
               WHERE u.id IN (SELECT value FROM json_each(?))";
    let query = sqlx::query_scalar(sql).bind(id_list(users.map(|user| user.0)));
    let text: String = query.fetch_one(connection).await?;
    let rows: Vec<(UserId, Seq, i64, Seq, i64)> = json(&text)?;
    let inbox = |(user, last_seq, unread_count, delivered_seq, steps)| {
        let head = Head { last_seq, unread_count, delivered_seq, ..Head::default() };
        (user, Inbox { head, has_steps: steps != 0 })
    };
    Ok(rows.into_iter().map(inbox).collect())
}

/// Somebody who is told: the inbox, and what is to be known of the ways out of the house.
#[derive(Debug, Clone)]
pub(super) struct Recipient {
    pub(super) head: Head,
    /// Where the account has an address.
    pub(super) reach: Channels,
    /// The browsers that may be told.
    pub(super) browsers: Vec<Address>,
    /// The webhooks that may.
    pub(super) hooks: Vec<Hook>,
    pub(super) preferences: Preferences,
}

type Browsers = Vec<(i64, String)>;
type RecipientRow = (UserId, Seq, i64, Seq, [i64; 3], Browsers, Vec<HookRow>, Option<Preferences>);

/// Who is told, and how loudly.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) recipients: BTreeMap<UserId, Recipient>,
    /// The policies of the events.
    pub(super) escalations: HashMap<String, Arc<Escalation>>,
}

/// These users, as far as telling them of these events is concerned; users that do not exist are
/// left out.
pub(super) async fn people(
    connection: &mut SqliteConnection,
    users: impl Iterator<Item = UserId>,
    events: &BTreeSet<&str>,
    on: Channels,
) -> Result<People, Failure> {
    let sql = "SELECT json_group_array(json_array(u.id, ifnull(i.last_seq, 0), \
               ifnull(i.unread_count, 0), ifnull(i.delivered_seq, 0), \
               json_array(u.email <> '', u.whatsapp_number <> '', u.phone <> ''), \
               json(iif(?2, (SELECT json_group_array(json_array(s.id, s.lane)) \
               FROM push_subscriptions s WHERE s.user_id = u.id), '[]')), \
               json(iif(?4 AND EXISTS (SELECT 1 FROM webhooks WHERE user_id IS NOT NULL), \
               (SELECT json_group_array(json_array(w.id, w.lane, json(w.events))) \
               FROM webhooks w WHERE w.user_id = u.id AND w.is_active = 1), '[]')), \
               json(p.body))), \
               (SELECT json_group_object(e.event, json(e.steps)) FROM escalations e \
               WHERE e.event IN (SELECT value FROM json_each(?3))) \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
               LEFT JOIN preferences p ON p.user_id = u.id \
               WHERE u.id IN (SELECT value FROM json_each(?1))";
    let query = sqlx::query_as(sql).bind(id_list(users.map(|user| user.0)));
    let query = query.bind(on.contains(Channel::Push)).bind(text(events)?);
    let query = query.bind(on.contains(Channel::Webhook));
    let (found, policies): (String, String) = query.fetch_one(connection).await?;
    let rows: Vec<RecipientRow> = json(&found)?;
    let policies: HashMap<String, Escalation> = json(&policies)?;
    let recipient = |row: RecipientRow| {
        let (user, last_seq, unread_count, delivered_seq, own, browsers, hooks, preferences) = row;
        let head = Head { last_seq, unread_count, delivered_seq, ..Head::default() };
        let preferences = preferences.unwrap_or_default();
        let address = |(id, lane)| Address { id, lane };
        let browsers: Vec<Address> = browsers.into_iter().map(address).collect();
        let hooks: Vec<Hook> = hooks.into_iter().map(Hook::of).collect();
        let reach = reach(own, !browsers.is_empty(), !hooks.is_empty());
        (user, Recipient { head, reach, browsers, hooks, preferences })
    };
    let policies = policies.into_iter().map(|(event, policy)| (event, Arc::new(policy)));
    let recipients = rows.into_iter().map(recipient).collect();
    Ok(People { recipients, escalations: policies.collect() })
}

impl Recipient {
    /// The addresses of a channel at which an event is told.
    pub(super) fn targets<'a>(
        &'a self,
        channel: Channel,
        event: &'a Event,
    ) -> impl Iterator<Item = &'a Address> {
        let none: (&[Address], &[Address], &[Hook]) = (&[], &[], &[]);
        let (own, browsers, hooks) = match channel {
            Channel::System => none,
            Channel::Email | Channel::WhatsApp | Channel::Sms => {
                (std::slice::from_ref(&OWN), none.1, none.2)
            }
            Channel::Push => (none.0, self.browsers.as_slice(), none.2),
            Channel::Webhook => (none.0, none.1, self.hooks.as_slice()),
        };
        let hooks = hooks.iter().filter(|hook| hook.hears(event)).map(|hook| &hook.address);
        own.iter().chain(browsers).chain(hooks)
    }
}

fn reach(own: [i64; 3], has_browsers: bool, has_hooks: bool) -> Channels {
    let [email, whatsapp, sms] = own.map(|has| has != 0);
    let has = [
        (Channel::Email, email),
        (Channel::WhatsApp, whatsapp),
        (Channel::Sms, sms),
        (Channel::Push, has_browsers),
        (Channel::Webhook, has_hooks),
    ];
    let has = has.into_iter().filter(|(_, has)| *has).map(|(channel, _)| channel);
    has.fold(Channels::NONE, Channels::with)
}
