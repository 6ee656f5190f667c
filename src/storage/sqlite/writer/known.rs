//! What the tables say of a group's tickets, projects, groups of people and inboxes, before it is
//! applied. Each is looked up by its id: a statement that is prepared already costs no more than a
//! row of a long one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bellpull_actors::domain::escalation::Escalation;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{ProjectId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::domain::preference::Preferences;
use bellpull_actors::domain::routing::{Channel, Channels, Group};
use bellpull_actors::domain::webhook;
use rusqlite::{Connection, Row};

use super::super::deferred::Look;
use super::super::rows::json;
use super::super::statement::{all, each, one, optional};
use super::group::{Failure, Place};

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

impl Hook {
    pub(super) fn hears(&self, event: &Event) -> bool {
        webhook::hears(&self.events, event)
    }
}

/// What a group's decisions and comments are about.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) tickets: HashMap<TicketId, KnownTicket>,
    pub(super) projects: HashMap<ProjectId, KnownProject>,
    pub(super) members: Members,
    /// The projects' webhooks.
    pub(super) hooks: HashMap<ProjectId, Vec<Hook>>,
}

/// What is looked for.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) tickets: BTreeSet<TicketId>,
    pub(super) projects: BTreeSet<ProjectId>,
    /// Whether somebody of this group of writes needs the members of groups.
    pub(super) needs_members: bool,
    /// Those whose webhooks are told.
    pub(super) announcing: BTreeSet<ProjectId>,
}

impl Known {
    /// Reads them.
    pub(super) fn read(connection: &Connection, sought: &Sought) -> Result<Self, Failure> {
        let tickets = read_tickets(connection, sought.tickets.iter().copied())?;
        let sql = "SELECT id, key, last_number FROM projects WHERE id = ?";
        let projects = each(connection, sql, sought.projects.iter().map(|id| id.0), |row| {
            let project = KnownProject { key: row.get(1)?, last_number: row.get(2)? };
            Ok((ProjectId(row.get(0)?), project))
        })?;
        let members =
            if sought.needs_members { read_members(connection)? } else { Members::default() };
        let mut hooks = HashMap::new();
        for project in &sought.announcing {
            hooks.insert(*project, read_hooks(connection, PROJECTS_HOOKS, project.0)?);
        }
        Ok(Self { tickets, projects: projects.into_iter().collect(), members, hooks })
    }

    /// The webhooks of a project that hear of an event.
    pub(super) fn called(&self, project: ProjectId, event: &Event) -> Vec<Address> {
        let hooks = self.hooks.get(&project).into_iter().flatten();
        hooks.filter(|hook| hook.hears(event)).map(|hook| hook.address.clone()).collect()
    }
}

fn read_tickets(
    connection: &Connection,
    tickets: impl Iterator<Item = TicketId>,
) -> rusqlite::Result<HashMap<TicketId, KnownTicket>> {
    let sql = "SELECT t.id, t.version, t.deleted_at IS NOT NULL, EXISTS (SELECT 1 FROM deliveries d \
               INDEXED BY deliveries_until_moved WHERE d.until_seen = t.id \
               AND d.status = 'QUEUED') FROM tickets t WHERE t.id = ?";
    let found = each(connection, sql, tickets.map(|id| id.0), |row| {
        let (version, is_deleted, has_steps) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let ticket = KnownTicket { version, is_deleted, assigned_to: Vec::new(), has_steps };
        Ok((TicketId(row.get(0)?), ticket))
    })?;
    let mut found: HashMap<_, _> = found.into_iter().collect();
    let sql = "SELECT position, user_id FROM ticket_assignees WHERE ticket_id = ?";
    for (id, ticket) in &mut found {
        let mut people: Vec<(i64, i64)> = all(connection, sql, (id.0,), |row| row.try_into())?;
        people.sort_unstable();
        ticket.assigned_to = people.into_iter().map(|(_, user)| UserId(user)).collect();
    }
    Ok(found)
}

fn read_members(connection: &Connection) -> Result<Members, Failure> {
    let sql = "SELECT id, role = 'super_admin' FROM users \
               WHERE role IN ('admin', 'super_admin') AND is_active = 1";
    let people = all(connection, sql, (), |row| Ok((UserId(row.get(0)?), row.get(1)?)))?;
    let mut members = Members::default();
    for (user, is_super_admin) in people {
        members.admins.push(user);
        if is_super_admin {
            members.super_admins.push(user);
        }
    }
    Ok(members)
}

/// An inbox that is marked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inbox {
    pub(super) head: Head,
    /// Whether something may be called off when a row of it is seen.
    pub(super) has_steps: bool,
}

/// These users' inboxes; users that do not exist are left out.
pub(super) fn inboxes(
    connection: &Connection,
    users: impl Iterator<Item = UserId>,
) -> Result<BTreeMap<UserId, Inbox>, Failure> {
    let sql = "SELECT u.id, i.last_seq, i.unread_count, i.delivered_seq, \
               EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_until_seen \
               WHERE d.recipient_id = u.id AND d.until_seen IS NOT NULL \
               AND d.status = 'QUEUED' AND d.leased_until IS NULL) \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id WHERE u.id = ?";
    let inboxes = each(connection, sql, users.map(|user| user.0), |row| {
        Ok((UserId(row.get(0)?), Inbox { head: head(row)?, has_steps: row.get(4)? }))
    })?;
    Ok(inboxes.into_iter().collect())
}

/// The second to the fourth column; all NULL where nothing has ever come.
fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    let number = |column| row.get::<usize, Option<i64>>(column).map(Option::unwrap_or_default);
    let (last_seq, delivered_seq) = (Seq(number(1)?), Seq(number(3)?));
    Ok(Head { last_seq, unread_count: number(2)?, delivered_seq, ..Head::default() })
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
    /// Whether mails are held back until the address is confirmed.
    pub(super) is_unverified: bool,
    /// Whether births are still to be written there.
    pub(super) is_held: bool,
}

/// Who is told, and how loudly.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) recipients: BTreeMap<UserId, Recipient>,
    /// The policies of the events.
    pub(super) escalations: HashMap<String, Arc<Escalation>>,
}

/// These users, as far as telling them of these events is concerned; users that do not exist are
/// left out.
pub(super) fn people(
    connection: &Connection,
    place: Place<'_>,
    users: Vec<UserId>,
    events: &BTreeSet<&str>,
) -> Result<People, Failure> {
    let mut escalations = HashMap::new();
    let sql = "SELECT steps FROM escalations WHERE event = ?";
    for event in events {
        let steps: Option<String> = optional(connection, sql, (event,), |row| row.get(0))?;
        if let Some(steps) = steps {
            escalations.insert((*event).to_owned(), Arc::new(json(&steps)?));
        }
    }
    Ok(People { recipients: recipients(connection, place, users)?, escalations })
}

fn recipients(
    connection: &Connection,
    place: Place<'_>,
    users: Vec<UserId>,
) -> Result<BTreeMap<UserId, Recipient>, Failure> {
    let looks = place.deferred.looks(&users, &place.staged.borrow());
    let (mut recipients, mut held, mut unknown) = (BTreeMap::new(), HashMap::new(), Vec::new());
    for (user, look) in users.into_iter().zip(looks) {
        if let Some(recipient) = Recipient::known(look) {
            recipients.insert(user, recipient);
            continue;
        }
        unknown.push(user);
        if let Some(position) = look.position {
            held.insert(user, (position.head(), look.is_held));
        }
    }
    if unknown.is_empty() {
        return Ok(recipients);
    }
    let on = place.channels;
    let sql = "SELECT u.id, i.last_seq, i.unread_count, i.delivered_seq, \
               u.email <> '', u.whatsapp_number <> '', u.phone <> '', p.body, u.email_verified \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
               LEFT JOIN preferences p ON p.user_id = u.id WHERE u.id = ?";
    let found = each(connection, sql, unknown.into_iter().map(|user| user.0), |row| {
        let has = [row.get(4)?, row.get(5)?, row.get(6)?];
        let preferences: Option<String> = row.get(7)?;
        let is_unverified = place.verify_email && !row.get::<_, bool>(8)?;
        Ok((UserId(row.get(0)?), head(row)?, has, preferences, is_unverified))
    })?;
    let has_hooks =
        on.contains(Channel::Webhook) && one(connection, ANY_HOOKS, (), |row| row.get(0))?;
    for (user, head, has, preferences, is_unverified) in found {
        let browsers = match on.contains(Channel::Push) {
            true => all(connection, BROWSERS, (user.0,), address)?,
            false => Vec::new(),
        };
        let hooks = match has_hooks {
            true => read_hooks(connection, USERS_HOOKS, user.0)?,
            false => Vec::new(),
        };
        let preferences = preferences.map(|body| json(&body)).transpose()?.unwrap_or_default();
        let reach = reach(has, !browsers.is_empty(), !hooks.is_empty());
        let (head, is_held) = held.remove(&user).unwrap_or((head, false));
        let known = Recipient { head, reach, browsers, hooks, preferences, is_unverified, is_held };
        recipients.insert(user, known);
    }
    Ok(recipients)
}

const BROWSERS: &str = "SELECT id, lane FROM push_subscriptions WHERE user_id = ?";
const ANY_HOOKS: &str = "SELECT EXISTS (SELECT 1 FROM webhooks WHERE user_id IS NOT NULL)";
const USERS_HOOKS: &str =
    "SELECT id, lane, events FROM webhooks WHERE user_id = ? AND is_active = 1";
const PROJECTS_HOOKS: &str =
    "SELECT id, lane, events FROM webhooks WHERE project_id = ? AND is_active = 1";

fn address(row: &Row<'_>) -> rusqlite::Result<Address> {
    Ok(Address { id: row.get(0)?, lane: row.get(1)? })
}

fn read_hooks(connection: &Connection, sql: &str, owner: i64) -> Result<Vec<Hook>, Failure> {
    let mut hooks = Vec::new();
    let found: Vec<(Address, String)> =
        all(connection, sql, (owner,), |row| Ok((address(row)?, row.get(2)?)))?;
    for (address, events) in found {
        hooks.push(Hook { address, events: json(&events)? });
    }
    Ok(hooks)
}

impl Recipient {
    /// Somebody of whom enough is known.
    fn known(look: Look) -> Option<Self> {
        Some(Self {
            head: look.position?.head(),
            reach: look.reach?,
            browsers: Vec::new(),
            hooks: Vec::new(),
            preferences: Preferences::default(),
            is_unverified: false,
            is_held: look.is_held,
        })
    }

    /// What is to be known of the next time, unless that takes more than an address or none.
    pub(super) fn plain_reach(&self) -> Option<Channels> {
        let is_plain = self.browsers.is_empty()
            && self.hooks.is_empty()
            && !self.is_unverified
            && self.preferences == Preferences::default();
        is_plain.then_some(self.reach)
    }

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

fn reach([email, whatsapp, sms]: [bool; 3], has_browsers: bool, has_hooks: bool) -> Channels {
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
