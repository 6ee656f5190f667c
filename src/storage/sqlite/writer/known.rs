//! Reads the facts that a group's plan needs, from the tables and the caches. Each row is looked up
//! by its id: a prepared statement costs no more than a row of a long one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bellpull_domain::escalation::Escalation;
use bellpull_domain::ids::{ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::Head;
use bellpull_domain::plan::marks::MarkedInbox;
use bellpull_domain::plan::{
    Address, Facts, Hook, KnownProject, KnownTicket, Members, Needs, Recipient,
};
use bellpull_domain::routing::{Channel, Channels};
use rusqlite::{Connection, Row};

use super::super::deferred::Look;
use super::super::rows::json;
use super::super::statement::{all, each, one, optional};
use super::context::Place;
use super::failure::Failure;
use super::keys;

/// Reads the facts that a plan needs; `others` are recipients besides the announcements' own.
pub(super) fn read(
    connection: &Connection,
    place: Place<'_>,
    needs: &Needs<'_>,
    others: impl Iterator<Item = UserId>,
) -> Result<Facts, Failure> {
    let tickets = read_tickets(connection, needs.tickets.iter().copied())?;
    let sql = "SELECT id, key, last_number, name, is_open FROM projects WHERE id = ?";
    let projects = each(connection, sql, needs.projects.iter().map(|id| id.0), |row| {
        let (key, last_number) = (row.get(1)?, row.get(2)?);
        let (name, is_open) = (row.get(3)?, row.get(4)?);
        let project = KnownProject { key, name, is_open, last_number };
        Ok((ProjectId(row.get(0)?), project))
    })?;
    let members = if needs.members { read_members(connection)? } else { Members::default() };
    let mut hooks = HashMap::new();
    for project in &needs.hooks_of {
        hooks.insert(*project, read_hooks(connection, PROJECTS_HOOKS, project.0)?);
    }
    let keys = keys::read(connection, &needs.keys)?;
    let mut facts = Facts { tickets, members, hooks, keys, ..Facts::default() };
    facts.projects.extend(projects);
    let mut users = needs.recipients(&facts.members);
    users.extend(others);
    if !users.is_empty() {
        facts.recipients = recipients(connection, place, users.into_iter().collect())?;
        facts.escalations = escalations(connection, &needs.events)?;
    }
    Ok(facts)
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
        let ticket = KnownTicket { version, is_deleted, has_steps, ..KnownTicket::default() };
        Ok((TicketId(row.get(0)?), ticket))
    })?;
    let mut found: HashMap<_, _> = found.into_iter().collect();
    let sql = "SELECT position, user_id FROM ticket_assignees WHERE ticket_id = ?";
    for (id, ticket) in &mut found {
        let mut assignees: Vec<(i64, i64)> = all(connection, sql, (id.0,), |row| row.try_into())?;
        assignees.sort_unstable();
        ticket.assigned_to = assignees.into_iter().map(|(_, user)| UserId(user)).collect();
    }
    Ok(found)
}

fn read_members(connection: &Connection) -> Result<Members, Failure> {
    let sql = "SELECT id, role = 'super_admin' FROM users \
               WHERE role IN ('admin', 'super_admin') AND is_active = 1";
    let found = all(connection, sql, (), |row| Ok((UserId(row.get(0)?), row.get(1)?)))?;
    let mut members = Members::default();
    for (user, is_super_admin) in found {
        members.admins.push(user);
        if is_super_admin {
            members.super_admins.push(user);
        }
    }
    Ok(members)
}

/// These users' inboxes; users that do not exist are left out.
pub(super) fn inboxes(
    connection: &Connection,
    users: impl Iterator<Item = UserId>,
) -> Result<BTreeMap<UserId, MarkedInbox>, Failure> {
    let sql = "SELECT u.id, i.last_seq, i.unread_count, i.delivered_seq, \
               EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_until_seen \
               WHERE d.recipient_id = u.id AND d.until_seen IS NOT NULL \
               AND d.status = 'QUEUED' AND d.leased_until IS NULL) \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id WHERE u.id = ?";
    let inboxes = each(connection, sql, users.map(|user| user.0), |row| {
        Ok((UserId(row.get(0)?), MarkedInbox { head: head(row)?, has_steps: row.get(4)? }))
    })?;
    Ok(inboxes.into_iter().collect())
}

/// The second to the fourth column; all NULL if the inbox has no row.
fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    let number = |column| row.get::<usize, Option<i64>>(column).map(Option::unwrap_or_default);
    let (last_seq, delivered_seq) = (Seq(number(1)?), Seq(number(3)?));
    Ok(Head { last_seq, unread_count: number(2)?, delivered_seq, ..Head::default() })
}

/// The policies of these events.
fn escalations(
    connection: &Connection,
    events: &BTreeSet<&str>,
) -> Result<HashMap<String, Arc<Escalation>>, Failure> {
    let mut escalations = HashMap::new();
    let sql = "SELECT steps FROM escalations WHERE event = ?";
    for event in events {
        let steps: Option<String> = optional(connection, sql, (event,), |row| row.get(0))?;
        if let Some(steps) = steps {
            escalations.insert((*event).to_owned(), Arc::new(json(&steps)?));
        }
    }
    Ok(escalations)
}

/// What announcements need of these users; users that do not exist are left out.
fn recipients(
    connection: &Connection,
    place: Place<'_>,
    users: Vec<UserId>,
) -> Result<BTreeMap<UserId, Recipient>, Failure> {
    let looks = place.deferred.looks(&users, &place.staged.borrow());
    let is_on = place.deferred.waits_from().is_some();
    let (mut recipients, mut held, mut unknown) = (BTreeMap::new(), HashMap::new(), Vec::new());
    for (user, look) in users.into_iter().zip(looks) {
        let look = Look { is_held: look.is_held && is_on, ..look };
        if let Some(recipient) = cached(look) {
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
    let has_address_channels = on.outgoing().any(|channel| channel.address_field().is_some());
    let sql = if has_address_channels { WITH_ADDRESSES } else { WITHOUT_ADDRESSES };
    let found = each(connection, sql, unknown.into_iter().map(|user| user.0), |row| {
        let preferences: Option<String> = row.get(4)?;
        let is_unverified = place.verify_email && !row.get::<_, bool>(5)?;
        Ok((UserId(row.get(0)?), head(row)?, addresses(row)?, preferences, is_unverified))
    })?;
    let has_hooks =
        on.contains(Channel::Webhook) && one(connection, ANY_HOOKS, (), |row| row.get(0))?;
    for (user, head, mut reach, preferences, is_unverified) in found {
        let browsers = match on.contains(Channel::Push) {
            true => all(connection, BROWSERS, (user.0,), address)?,
            false => Vec::new(),
        };
        let hooks = match has_hooks {
            true => read_hooks(connection, USERS_HOOKS, user.0)?,
            false => Vec::new(),
        };
        let preferences = preferences.map(|body| json(&body)).transpose()?.unwrap_or_default();
        if !browsers.is_empty() {
            reach = reach.with(Channel::Push);
        }
        if !hooks.is_empty() {
            reach = reach.with(Channel::Webhook);
        }
        let (head, is_deferred) = held.remove(&user).unwrap_or((head, false));
        let known =
            Recipient { head, reach, browsers, hooks, preferences, is_unverified, is_deferred };
        recipients.insert(user, known);
    }
    Ok(recipients)
}

macro_rules! select_recipient {
    ($addresses:literal) => {
        concat!(
            "SELECT u.id, i.last_seq, i.unread_count, i.delivered_seq, p.body, u.email_verified, ",
            $addresses,
            " FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
             LEFT JOIN preferences p ON p.user_id = u.id WHERE u.id = ?"
        )
    };
}

/// A recipient, with the names of the channels on which the account has an address.
const WITH_ADDRESSES: &str =
    select_recipient!("(SELECT group_concat(a.channel) FROM addresses a WHERE a.user_id = u.id)");
/// The same while no channel that is on has addresses of accounts.
const WITHOUT_ADDRESSES: &str = select_recipient!("NULL");
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

/// A user whose facts are cached.
fn cached(look: Look) -> Option<Recipient> {
    let is_deferred = look.is_held;
    Some(Recipient { is_deferred, ..Recipient::plain(look.position?.head(), look.reach?) })
}

/// The channels that the seventh column names.
fn addresses(row: &Row<'_>) -> rusqlite::Result<Channels> {
    let names = row.get_ref(6)?.as_str_or_null()?.unwrap_or_default();
    Ok(names.split(',').filter_map(Channel::from_name).collect())
}
