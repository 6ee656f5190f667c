//! What a group asks before its plan, in one statement: locks what it changes, and reads what it
//! needs. The function of the database is `group_facts`; see its migration.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{Display, Write as _};
use std::time::Duration;

use bellpull_domain::idempotency::{FirstUse, IdempotencyKey};
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::plan::{KnownProject, KnownTicket, Members, Needs};
use bellpull_domain::routing::{Channel, Channels, Group};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr};

use super::super::database::Connection;
use super::super::keys::{FirstUses, lock_of};
use super::super::locks::class;
use super::failure::Failure;
use crate::error::corrupt;
use crate::rows::json;

/// The arguments of the function. Those that are left out are empty.
#[derive(Debug, Default)]
pub(super) struct Question {
    arguments: String,
}

impl Question {
    /// Locks the keys, and reads their first uses. Ordered, so that two groups cannot deadlock.
    pub(super) fn keys(&mut self, keys: &[&IdempotencyKey]) {
        let locks: BTreeSet<i32> = keys.iter().map(|key| lock_of(key)).collect();
        if !locks.is_empty() {
            self.add("key_class", class!(idempotency_key));
            self.numbers("key_locks", locks);
            self.numbers("key_owners", keys.iter().map(|key| key.owner.0));
            self.texts("key_names", keys.iter().map(|key| key.key.as_str()));
        }
    }

    /// Reads whether these accounts are there and active.
    pub(super) fn accounts(&mut self, users: &BTreeSet<UserId>) {
        self.numbers("named", users.iter().map(|user| user.0));
    }

    /// Locks tickets, projects and inboxes, and reads what the plan needs of them; `others` are
    /// notified besides the announcements' recipients, and the inboxes of `touched` only change.
    pub(super) fn needs(
        &mut self,
        needs: &Needs<'_>,
        channels: Channels,
        others: impl IntoIterator<Item = UserId>,
        touched: impl IntoIterator<Item = UserId>,
    ) {
        // A new ticket whose id is taken is refused by its key.
        self.numbers("tickets_of", needs.tickets.difference(&needs.new_tickets).map(|id| id.0));
        self.numbers("projects_of", needs.projects.iter().map(|id| id.0));
        self.flag("all_admins", needs.concern(Group::Admins));
        self.flag("super_admins", needs.concern(Group::SuperAdmins));
        let mut notified = needs.recipients(&Members::default());
        notified.extend(others);
        self.numbers("notified", notified.iter().map(|user| user.0));
        let touched: BTreeSet<UserId> = touched.into_iter().collect();
        self.numbers("touched", touched.difference(&notified).map(|user| user.0));
        self.texts("events_of", needs.events.iter().copied());
        self.numbers("hooks_of", needs.hooks_of.iter().map(|project| project.0));
        self.flag("has_webhooks", channels.contains(Channel::Webhook));
        self.flag("has_push", channels.contains(Channel::Push));
    }

    /// Numbers of an argument.
    pub(super) fn numbers(&mut self, name: &str, numbers: impl IntoIterator<Item: Display>) {
        let mut list = String::new();
        for number in numbers {
            let comma = if list.is_empty() { "" } else { "," };
            let _ = write!(list, "{comma}{number}");
        }
        if !list.is_empty() {
            self.add(name, format_args!("'{{{list}}}'"));
        }
    }

    /// As hexadecimal digits: nothing in a text can end it.
    fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        let mut list = String::new();
        for text in texts {
            list.push_str(if list.is_empty() { "" } else { "," });
            list.push_str("convert_from(decode('");
            for byte in text.bytes() {
                let _ = write!(list, "{byte:02x}");
            }
            list.push_str("','hex'),'UTF8')");
        }
        if !list.is_empty() {
            self.add(name, format_args!("ARRAY[{list}]"));
        }
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.add(name, "true");
        }
    }

    fn add(&mut self, name: &str, value: impl Display) {
        let comma = if self.arguments.is_empty() { "" } else { ", " };
        let _ = write!(self.arguments, "{comma}{name} => {value}");
    }

    /// Whether there is anything to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// The statement; one that shows life sends something before it waits for a lock.
    pub(super) fn sql(&self, shows_life: bool) -> String {
        let life = if shows_life { ", shows_life => true" } else { "" };
        format!("SELECT * FROM group_facts({}{life})", self.arguments)
    }

    /// Asks within a transaction.
    pub(super) async fn ask(&self, connection: &mut Connection) -> Result<GroupFacts, Failure> {
        if self.is_empty() {
            return Ok(GroupFacts::default());
        }
        // Of its values only numbers are written as they are.
        let sql = AssertSqlSafe(self.sql(false)).into_sql_str();
        GroupFacts::of(&connection.fetch_one(sql).await?)
    }
}

/// A row of an inbox: its user, last number, count of unread rows and delivered number.
pub(super) type InboxRow = (i64, i64, i64, i64);
/// A webhook: its user or project, its id, lane and events.
pub(super) type HookRow = (Option<i64>, Option<i64>, i64, String, String);
/// A recipient: whether the address is verified, the preferences, channels and browsers.
pub(super) type RecipientRow =
    (i64, bool, Option<String>, Option<String>, Option<Vec<(i64, String)>>);
/// A row that a mark names: its number, id, whether it is read and whether it is there; and the
/// place of the mark.
pub(super) type MarkedRow = (i64, i64, bool, bool, i64);

/// The answer. What was not asked for is empty.
#[derive(Debug, Default)]
pub(super) struct GroupFacts {
    /// How long rows were waited for.
    pub(super) locked: Duration,
    pub(super) keys: FirstUses,
    /// Whether those that exist are active.
    pub(super) accounts: HashMap<UserId, bool>,
    pub(super) tickets: HashMap<TicketId, KnownTicket>,
    pub(super) projects: HashMap<ProjectId, KnownProject>,
    pub(super) members: Members,
    pub(super) inboxes: Vec<InboxRow>,
    /// Events and the steps of their escalations.
    pub(super) policies: Vec<(String, String)>,
    pub(super) hooks: Vec<HookRow>,
    pub(super) recipients: Vec<RecipientRow>,
    /// Users with steps that wait until something is seen.
    pub(super) with_steps: HashSet<UserId>,
    pub(super) named_rows: Vec<MarkedRow>,
}

impl GroupFacts {
    /// What the row says.
    pub(super) fn of(row: &PgRow) -> Result<Self, Failure> {
        let locked: Option<i64> = row.try_get("locked_us")?;
        let locked = Duration::from_micros(u64::try_from(locked.unwrap_or(0)).unwrap_or(0));
        let accounts: Vec<(i64, bool)> = list(row, "accounts")?;
        let with_steps: Vec<i64> = list(row, "with_steps")?;
        Ok(Self {
            locked,
            keys: keys(row)?,
            accounts: accounts.into_iter().map(|(id, active)| (UserId(id), active)).collect(),
            tickets: tickets(row)?,
            projects: projects(row)?,
            members: members(row)?,
            inboxes: list(row, "inboxes")?,
            policies: list(row, "policies")?,
            hooks: list(row, "hooks")?,
            recipients: list(row, "recipients")?,
            with_steps: with_steps.into_iter().map(UserId).collect(),
            named_rows: list(row, "named_rows")?,
        })
    }
}

fn list<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Vec<T>, Failure> {
    let text: Option<&str> = row.try_get(column)?;
    Ok(text.map(json).transpose()?.unwrap_or_default())
}

fn keys(row: &PgRow) -> Result<FirstUses, Failure> {
    let mut keys = FirstUses::new();
    let found: Vec<(i64, String, String, String, i64)> = list(row, "keys")?;
    for (owner, key, hash, made, id) in found {
        let byte = |at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok();
        let body_hash: Option<Vec<u8>> = (0..hash.len()).step_by(2).map(byte).collect();
        let body_hash = body_hash.ok_or_else(|| corrupt("body_hash"))?;
        keys.insert((UserId(owner), key), FirstUse { body_hash, made, id });
    }
    Ok(keys)
}

fn tickets(row: &PgRow) -> Result<HashMap<TicketId, KnownTicket>, Failure> {
    let found: Vec<(i64, i64, bool, bool, Vec<i64>)> = list(row, "tickets")?;
    let known = |(id, version, is_deleted, has_steps, assigned)| {
        let assigned_to = Vec::into_iter(assigned).map(UserId).collect();
        (TicketId(id), KnownTicket { version, is_deleted, has_steps, assigned_to })
    };
    Ok(found.into_iter().map(known).collect())
}

fn projects(row: &PgRow) -> Result<HashMap<ProjectId, KnownProject>, Failure> {
    let found: Vec<(i64, String, String, bool, i64)> = list(row, "projects")?;
    let known = |(id, key, name, is_open, last_number)| {
        (ProjectId(id), KnownProject { key, name, is_open, last_number })
    };
    Ok(found.into_iter().map(known).collect())
}

fn members(row: &PgRow) -> Result<Members, Failure> {
    let found: Vec<(i64, bool)> = list(row, "members")?;
    let mut members = Members::default();
    for (id, is_super_admin) in found {
        members.admins.push(UserId(id));
        if is_super_admin {
            members.super_admins.push(UserId(id));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_place_in_the_statement() {
        let mut question = Question::default();
        question.texts("events_of", ["a'); DROP TABLE users; --", "\\"]);
        let sql = question.sql(true);
        assert_eq!(
            sql,
            "SELECT * FROM group_facts(events_of => ARRAY[convert_from(decode(\
             '6127293b2044524f50205441424c452075736572733b202d2d','hex'),'UTF8'),\
             convert_from(decode('5c','hex'),'UTF8')], shows_life => true)"
        );
    }
}
