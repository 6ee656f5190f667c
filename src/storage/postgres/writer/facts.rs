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

use super::super::database::Connection;
use super::super::keys;
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
    connection: &mut Connection,
    place: Place<'_>,
    needs: &Needs<'_>,
    others: Vec<UserId>,
    touched: BTreeSet<UserId>,
) -> Result<(Facts, Locked), Failure> {
    let mut facts = Facts { keys: keys::read(connection, &needs.keys).await?, ..Facts::default() };
    let mut since = Instant::now();
    // A new ticket whose id is taken is refused by its key.
    let known: Vec<i64> = needs.tickets.difference(&needs.new_tickets).map(|id| id.0).collect();
    if !known.is_empty() {
        facts.tickets = tickets(connection, known).await?;
    }
    if !needs.projects.is_empty() {
        facts.projects = projects(connection, &needs.projects).await?;
    }
    let took = since.elapsed();
    if needs.members {
        facts.members = members(connection).await?;
    }
    let mut notified = needs.recipients(&facts.members);
    notified.extend(others);
    let users: Vec<i64> = notified.union(&touched).map(|user| user.0).collect();
    since = Instant::now();
    let mut locked = Locked { notified, ..Locked::default() };
    if !users.is_empty() {
        locked.inboxes = lock(connection, users).await?;
    }
    locked.took = took + since.elapsed();
    // From here on nothing waits: what is read now is what was acknowledged before the rows are
    // written.
    let Locked { inboxes, notified, .. } = &mut locked;
    if !(notified.is_empty() && needs.hooks_of.is_empty()) {
        let of_users = read_rules(connection, place, needs, notified, &mut facts).await?;
        if !notified.is_empty() {
            read_recipients(connection, place, notified, of_users, inboxes).await?;
        }
    }
    Ok((facts, locked))
}

/// Locks the tickets, and then reads what belongs to them: a statement that has waited for a lock
/// reads again the locked row only, and would miss steps that another node has just written.
async fn tickets(
    connection: &mut Connection,
    wanted: Vec<i64>,
) -> Result<HashMap<TicketId, KnownTicket>, Failure> {
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
    connection: &mut Connection,
    wanted: &BTreeSet<ProjectId>,
) -> Result<HashMap<ProjectId, KnownProject>, Failure> {
    let sql = "SELECT id, key, name, is_open, last_number FROM projects WHERE id = ANY($1) \
               ORDER BY id FOR NO KEY UPDATE";
    let wanted: Vec<i64> = wanted.iter().map(|id| id.0).collect();
    let found: Vec<(i64, String, String, bool, i64)> =
        sqlx::query_as(sql).bind(wanted).fetch_all(connection).await?;
    let known = |(id, key, name, is_open, last_number)| {
        (ProjectId(id), KnownProject { key, name, is_open, last_number })
    };
    Ok(found.into_iter().map(known).collect())
}

async fn members(connection: &mut Connection) -> Result<Members, Failure> {
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

/// Reads the policies of the events and the active webhooks of projects, and returns those of
/// users. One statement: other groups wait for the locks as long as each round trip takes.
async fn read_rules(
    connection: &mut Connection,
    place: Place<'_>,
    needs: &Needs<'_>,
    users: &BTreeSet<UserId>,
    facts: &mut Facts,
) -> Result<HashMap<UserId, Vec<Hook>>, Failure> {
    let sql = "SELECT NULL::bigint, NULL::bigint, 0::bigint, event, steps FROM escalations \
               WHERE event = ANY($1) UNION ALL (SELECT user_id, project_id, id, lane, events \
               FROM webhooks WHERE $2 AND is_active \
               AND (user_id = ANY($3) OR project_id = ANY($4)) ORDER BY id)";
    type Row = (Option<i64>, Option<i64>, i64, String, String);
    let found: Vec<Row> = sqlx::query_as(sql)
        .bind(needs.events.iter().copied().collect::<Vec<&str>>())
        .bind(place.channels.contains(Channel::Webhook))
        .bind(users.iter().map(|user| user.0).collect::<Vec<i64>>())
        .bind(needs.hooks_of.iter().map(|project| project.0).collect::<Vec<i64>>())
        .fetch_all(connection)
        .await?;
    let mut of_users: HashMap<UserId, Vec<Hook>> = HashMap::new();
    for (user, project, id, name, rule) in found {
        let hook =
            |lane| Ok::<_, Failure>(Hook { address: Address { id, lane }, events: json(&rule)? });
        match (user, project) {
            (Some(user), _) => of_users.entry(UserId(user)).or_default().push(hook(name)?),
            (None, Some(project)) => {
                facts.hooks.entry(ProjectId(project)).or_default().push(hook(name)?);
            }
            (None, None) => drop(facts.escalations.insert(name, Arc::new(json(&rule)?))),
        }
    }
    Ok(of_users)
}

/// Locks the inboxes in the order of their users. Users that do not exist are left out.
async fn lock(
    connection: &mut Connection,
    users: Vec<i64>,
) -> Result<BTreeMap<UserId, Inbox>, Failure> {
    let sql = "SELECT user_id, last_seq, unread_count, delivered_seq FROM inboxes \
               WHERE user_id = ANY($1) ORDER BY user_id FOR NO KEY UPDATE";
    let found: Vec<(i64, i64, i64, i64)> =
        sqlx::query_as(sql).bind(users).fetch_all(connection).await?;
    let inbox = |(user, last_seq, unread_count, delivered_seq)| {
        let (last_seq, delivered_seq) = (Seq(last_seq), Seq(delivered_seq));
        let head = Head { last_seq, unread_count, delivered_seq, ..Head::default() };
        (UserId(user), Inbox { head, recipient: Recipient::plain(head, Channels::NONE) })
    };
    Ok(found.into_iter().map(inbox).collect())
}

type RecipientRow = (i64, bool, Option<String>, Option<String>, Option<String>);

/// Reads what announcements need of their recipients, whose inboxes are locked: a statement of its
/// own, since one that has waited for a lock would show preferences and addresses as they were
/// before it waited.
async fn read_recipients(
    connection: &mut Connection,
    place: Place<'_>,
    users: &BTreeSet<UserId>,
    mut hooks: HashMap<UserId, Vec<Hook>>,
    inboxes: &mut BTreeMap<UserId, Inbox>,
) -> Result<(), Failure> {
    let sql = "SELECT u.id, u.email_verified, p.body, (SELECT string_agg(a.channel, ',') \
               FROM addresses a WHERE a.user_id = u.id), CASE WHEN $2 THEN \
               (SELECT json_agg(json_build_array(s.id, s.lane) ORDER BY s.id)::text \
               FROM push_subscriptions s WHERE s.user_id = u.id) END \
               FROM users u LEFT JOIN preferences p ON p.user_id = u.id WHERE u.id = ANY($1)";
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    let query = sqlx::query_as(sql).bind(users).bind(place.channels.contains(Channel::Push));
    let found: Vec<RecipientRow> = query.fetch_all(connection).await?;
    for (user, is_verified, preferences, channels, browsers) in found {
        let user = UserId(user);
        let Some(Inbox { head, recipient }) = inboxes.get_mut(&user) else { continue };
        let mut reach: Channels = channels.as_deref().map(named).unwrap_or_default();
        let browsers: Vec<(i64, String)> =
            browsers.map(|list| json(&list)).transpose()?.unwrap_or_default();
        let browsers: Vec<Address> =
            browsers.into_iter().map(|(id, lane)| Address { id, lane }).collect();
        let hooks = hooks.remove(&user).unwrap_or_default();
        if !browsers.is_empty() {
            reach = reach.with(Channel::Push);
        }
        if !hooks.is_empty() {
            reach = reach.with(Channel::Webhook);
        }
        let preferences = preferences.map(|body| json(&body)).transpose()?.unwrap_or_default();
        let is_unverified = place.verify_email && !is_verified;
        let plain = Recipient::plain(*head, reach);
        *recipient = Recipient { browsers, hooks, preferences, is_unverified, ..plain };
    }
    Ok(())
}

fn named(channels: &str) -> Channels {
    channels.split(',').filter_map(Channel::from_name).collect()
}
