//! The facts that a group's plan needs, of what the database has told, and the locked inboxes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::ids::{ProjectId, Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_domain::plan::{Address, Facts, Hook, Needs, Recipient};
use bellpull_domain::routing::{Channel, Channels};

use super::failure::Failure;
use super::question::{GroupFacts, HookRow, InboxRow, RecipientRow};
use crate::rows::json;

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

/// The facts; `others` are recipients besides the announcements' own.
pub(super) fn of(
    told: &mut GroupFacts,
    needs: &Needs<'_>,
    verify_email: bool,
    others: Vec<UserId>,
) -> Result<(Facts, Locked), Failure> {
    let mut facts = Facts {
        keys: take(&mut told.keys),
        tickets: take(&mut told.tickets),
        projects: take(&mut told.projects),
        members: take(&mut told.members),
        ..Facts::default()
    };
    for (event, steps) in take(&mut told.policies) {
        facts.escalations.insert(event, Arc::new(json(&steps)?));
    }
    let mut notified = needs.recipients(&facts.members);
    notified.extend(others);
    let mut inboxes = take(&mut told.inboxes).into_iter().map(inbox).collect();
    let of_users = sort_hooks(take(&mut told.hooks), &mut facts)?;
    meet(&mut inboxes, take(&mut told.recipients), of_users, verify_email)?;
    Ok((facts, Locked { inboxes, notified, changed: BTreeSet::new(), took: told.locked }))
}

fn inbox((user, last_seq, unread_count, delivered_seq): InboxRow) -> (UserId, Inbox) {
    let (last_seq, delivered_seq) = (Seq(last_seq), Seq(delivered_seq));
    let head = Head { last_seq, unread_count, delivered_seq, ..Head::default() };
    (UserId(user), Inbox { head, recipient: Recipient::plain(head, Channels::NONE) })
}

/// The webhooks of projects are facts; those of users are returned.
fn sort_hooks(
    rows: Vec<HookRow>,
    facts: &mut Facts,
) -> Result<HashMap<UserId, Vec<Hook>>, Failure> {
    let mut of_users: HashMap<UserId, Vec<Hook>> = HashMap::new();
    for (user, project, id, lane, events) in rows {
        let hook = Hook { address: Address { id, lane }, events: json(&events)? };
        match (user, project) {
            (Some(user), _) => of_users.entry(UserId(user)).or_default().push(hook),
            (None, Some(project)) => {
                facts.hooks.entry(ProjectId(project)).or_default().push(hook);
            }
            (None, None) => {}
        }
    }
    Ok(of_users)
}

/// What announcements need of their recipients.
fn meet(
    inboxes: &mut BTreeMap<UserId, Inbox>,
    rows: Vec<RecipientRow>,
    mut hooks: HashMap<UserId, Vec<Hook>>,
    verify_email: bool,
) -> Result<(), Failure> {
    for (user, is_verified, preferences, channels, browsers) in rows {
        let user = UserId(user);
        let Some(Inbox { head, recipient }) = inboxes.get_mut(&user) else { continue };
        let mut reach: Channels = channels.as_deref().map(named).unwrap_or_default();
        let browsers = browsers.unwrap_or_default().into_iter();
        let browsers: Vec<Address> = browsers.map(|(id, lane)| Address { id, lane }).collect();
        let hooks = hooks.remove(&user).unwrap_or_default();
        if !browsers.is_empty() {
            reach = reach.with(Channel::Push);
        }
        if !hooks.is_empty() {
            reach = reach.with(Channel::Webhook);
        }
        let preferences = preferences.map(|body| json(&body)).transpose()?.unwrap_or_default();
        let is_unverified = verify_email && !is_verified;
        let plain = Recipient::plain(*head, reach);
        *recipient = Recipient { browsers, hooks, preferences, is_unverified, ..plain };
    }
    Ok(())
}

fn named(channels: &str) -> Channels {
    channels.split(',').filter_map(Channel::from_name).collect()
}
