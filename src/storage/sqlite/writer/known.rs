//! What the tables say of a group's tickets, projects, groups of people and inboxes, before it is
//! applied: two queries, however many requests.

use std::collections::{BTreeMap, HashMap};

use bellpull_actors::domain::ids::{ProjectId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::domain::preference::Preferences;
use bellpull_actors::domain::routing::{Channel, Channels, Group};
use bellpull_actors::domain::user::Role;
use sqlx::SqliteConnection;

use super::super::multi_row::id_list;
use super::super::rows::json;
use super::group::Failure;

/// A ticket that exists, as far as the next decision about it is concerned.
#[derive(Debug, Clone)]
pub(super) struct KnownTicket {
    pub(super) version: i64,
    pub(super) is_deleted: bool,
    pub(super) assigned_to: Vec<UserId>,
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

/// What the first query found.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) tickets: HashMap<TicketId, KnownTicket>,
    pub(super) projects: HashMap<ProjectId, KnownProject>,
    pub(super) members: Members,
}

/// All three in one row: each row of its own would cost more than its JSON.
const READ: &str = "SELECT \
    (SELECT json_group_array(json_array(t.id, t.version, t.deleted_at IS NOT NULL, \
        (SELECT json_group_array(a.user_id ORDER BY a.position) FROM ticket_assignees a \
         WHERE a.ticket_id = t.id))) \
     FROM tickets t WHERE t.id IN (SELECT value FROM json_each(?1))), \
    (SELECT json_group_array(json_array(p.id, p.key, p.last_number)) \
     FROM projects p WHERE p.id IN (SELECT value FROM json_each(?2))), \
    (SELECT json_group_array(json_array(u.id, u.role)) \
     FROM users u WHERE ?3 AND u.role IN ('admin', 'super_admin') AND u.is_active = 1)";

type TicketRow = (TicketId, i64, i64, Vec<UserId>);

impl Known {
    /// Reads them. The members of groups only if somebody of this group of writes needs them.
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        tickets: impl Iterator<Item = TicketId>,
        projects: impl Iterator<Item = ProjectId>,
        needs_members: bool,
    ) -> Result<Self, Failure> {
        let (tickets, projects, members): (String, String, String) = sqlx::query_as(READ)
            .bind(id_list(tickets.map(|id| id.0)))
            .bind(id_list(projects.map(|id| id.0)))
            .bind(needs_members)
            .fetch_one(connection)
            .await?;
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
        let ticket = |(id, version, deleted, assigned_to)| {
            (id, KnownTicket { version, is_deleted: deleted != 0, assigned_to })
        };
        let project = |(id, key, last_number)| (id, KnownProject { key, last_number });
        Ok(Self {
            tickets: tickets.into_iter().map(ticket).collect(),
            projects: projects.into_iter().map(project).collect(),
            members,
        })
    }
}

/// The heads of these users' inboxes; users that do not exist are left out.
pub(super) async fn heads(
    connection: &mut SqliteConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<BTreeMap<UserId, Head>, Failure> {
    let sql = "SELECT json_group_array(json_array(u.id, ifnull(i.last_seq, 0), \
               ifnull(i.unread_count, 0), ifnull(i.delivered_seq, 0))) \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
               WHERE u.id IN (SELECT value FROM json_each(?))";
    let query = sqlx::query_scalar(sql).bind(id_list(users.map(|user| user.0)));
    let text: String = query.fetch_one(connection).await?;
    let rows: Vec<(UserId, Seq, i64, Seq)> = json(&text)?;
    let head = |(user, last_seq, unread_count, delivered_seq)| {
        (user, Head { last_seq, unread_count, delivered_seq })
    };
    Ok(rows.into_iter().map(head).collect())
}

/// Somebody who is told: the inbox, and what is to be known of the ways out of the house.
#[derive(Debug, Clone)]
pub(super) struct Recipient {
    pub(super) head: Head,
    /// Where the account has an address.
    pub(super) reach: Channels,
    pub(super) preferences: Preferences,
}

type RecipientRow = (UserId, Seq, i64, Seq, [i64; 3], Option<Preferences>);

/// These users, as far as telling them is concerned; users that do not exist are left out.
pub(super) async fn recipients(
    connection: &mut SqliteConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<BTreeMap<UserId, Recipient>, Failure> {
    let sql = "SELECT json_group_array(json_array(u.id, ifnull(i.last_seq, 0), \
               ifnull(i.unread_count, 0), ifnull(i.delivered_seq, 0), \
               json_array(u.email <> '', u.whatsapp_number <> '', u.phone <> ''), json(p.body))) \
               FROM users u LEFT JOIN inboxes i ON i.user_id = u.id \
               LEFT JOIN preferences p ON p.user_id = u.id \
               WHERE u.id IN (SELECT value FROM json_each(?))";
    let query = sqlx::query_scalar(sql).bind(id_list(users.map(|user| user.0)));
    let text: String = query.fetch_one(connection).await?;
    let rows: Vec<RecipientRow> = json(&text)?;
    let recipient = |(user, last_seq, unread_count, delivered_seq, addresses, preferences)| {
        let head = Head { last_seq, unread_count, delivered_seq };
        let preferences = Option::unwrap_or_default(preferences);
        (user, Recipient { head, reach: reach(addresses), preferences })
    };
    Ok(rows.into_iter().map(recipient).collect())
}

fn reach(has: [i64; 3]) -> Channels {
    let channels = [Channel::Email, Channel::WhatsApp, Channel::Sms];
    let has = channels.into_iter().zip(has).filter(|(_, has)| *has != 0);
    Channels::of(&has.map(|(channel, _)| channel).collect::<Vec<_>>())
}
