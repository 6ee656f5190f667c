//! Compares what was acknowledged with what the store holds at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::finding::{Findings, Wrong};
use super::ledger::{Ledger, Mark, MarkRecord, TicketRecord};
use super::view::Rows;

/// What the store holds, as read through REST.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// By user.
    pub(super) inboxes: HashMap<u64, Inbox>,
    /// By id.
    pub(super) tickets: HashMap<u64, TicketFacts>,
    /// Users with an admin's rights.
    pub(super) admins: Vec<u64>,
    /// Whether numbers may leap: a database that has lost some goes on far above them.
    pub(super) may_leap: bool,
}

/// An inbox.
#[derive(Debug, Clone, Default)]
pub(super) struct Inbox {
    /// In the order in which they were listed, which is that of their numbers.
    pub(super) rows: Vec<InboxRow>,
    pub(super) unread_count: u64,
    /// The number of its last change.
    pub(super) head: u64,
}

/// A notification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct InboxRow {
    pub(super) seq: u64,
    pub(super) id: u64,
    pub(super) event: String,
    pub(super) title: String,
    pub(super) ticket: Option<u64>,
    pub(super) ticket_title: String,
    pub(super) is_read: bool,
}

/// A ticket's history and comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TicketFacts {
    pub(super) creator: u64,
    pub(super) assigned_to: Vec<u64>,
    /// Versions, actions and authors, oldest first.
    pub(super) history: Vec<(u64, String, u64)>,
    /// Texts, oldest first.
    pub(super) comments: Vec<String>,
}

impl Inbox {
    /// Its rows by number.
    pub(super) fn by_number(&self) -> Rows {
        self.rows.iter().map(|row| (row.seq, (row.id, row.is_read))).collect()
    }
}

/// Everything that can be said without the clients' views.
pub(super) fn check(ledger: &Ledger, facts: &Facts) -> Findings {
    let mut findings = Findings::default();
    let marked: HashSet<u64> = ledger.marks.iter().map(|mark| mark.user).collect();
    for (user, inbox) in &facts.inboxes {
        let has_gaps = facts.may_leap || marked.contains(user);
        check_inbox(*user, inbox, has_gaps, &mut findings);
    }
    let raised = raised(facts);
    for ticket in &ledger.tickets {
        let found = raised.get(ticket.title.as_str()).map_or(0, HashSet::len);
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        findings.compare(found, ticket.created.once(), || format!("ticket {}", ticket.title));
        check_ticket(ticket, facts, &mut findings);
    }
    // What an inbox is owed cannot be told where rows were deleted from it.
    let deleters: HashSet<u64> = ledger.deleted().into_values().collect();
    let told = told(facts, &deleters);
    for ticket in &ledger.tickets {
        if let Some((id, stored)) = stored(ticket, facts) {
            check_told(id, stored, &told, facts, &mut findings);
        }
    }
    check_sends(ledger, facts, &deleters, &mut findings);
    check_mentions(ledger, facts, &deleters, &mut findings);
    check_marks(&ledger.marks, facts, &mut findings);
    findings
}

/// Numbers are unique and, where there may be none, without a gap; the counter is right.
fn check_inbox(user: u64, inbox: &Inbox, has_gaps: bool, findings: &mut Findings) {
    let mut ids = HashSet::new();
    let mut last = 0;
    for row in &inbox.rows {
        if row.seq <= last {
            findings.add(Wrong::OutOfOrder, || {
                format!("inbox of user {user}: number {} after {last}", row.seq)
            });
        } else if !has_gaps && row.seq != last + 1 {
            findings.add(Wrong::Lost, || {
                format!("inbox of user {user}: from number {last} to {}", row.seq)
            });
        }
        if !ids.insert(row.id) {
            findings.add(Wrong::Doubled, || format!("inbox of user {user}: id {}", row.id));
        }
        last = last.max(row.seq);
    }
    let unread = inbox.rows.iter().filter(|row| !row.is_read).count();
    if u64::try_from(unread).ok() != Some(inbox.unread_count) {
        findings.add(Wrong::Lost, || {
            let count = inbox.unread_count;
            format!("inbox of user {user}: its counter is {count}, unread are {unread}")
        });
    }
}

/// The tickets of each title that an admin was told of.
fn raised(facts: &Facts) -> HashMap<&str, HashSet<u64>> {
    let mut raised: HashMap<&str, HashSet<u64>> = HashMap::new();
    let rows = facts.admins.iter().filter_map(|admin| facts.inboxes.get(admin));
    for row in rows.flat_map(|inbox| &inbox.rows).filter(|row| row.event == "ticket_created") {
        raised.entry(&row.ticket_title).or_default().extend(row.ticket);
    }
    raised
}

fn stored<'a>(ticket: &TicketRecord, facts: &'a Facts) -> Option<(u64, &'a TicketFacts)> {
    let id = ticket.id?;
    Some((id, facts.tickets.get(&id)?))
}

/// Its history and comments are what was acknowledged, in that order.
fn check_ticket(ticket: &TicketRecord, facts: &Facts, findings: &mut Findings) {
    let Some((id, stored)) = stored(ticket, facts) else {
        if ticket.created.is_acknowledged {
            findings.add(Wrong::Lost, || format!("ticket {} was acknowledged", ticket.title));
        }
        return;
    };
    for (n, (version, action, _)) in stored.history.iter().enumerate() {
        if u64::try_from(n + 1).ok() != Some(*version) {
            findings.add(Wrong::Lost, || {
                format!("ticket {id}: entry {} of its history ({action}) is {version}", n + 1)
            });
        }
    }
    let actions: Vec<&str> = stored.history.iter().map(|(_, action, _)| action.as_str()).collect();
    let mut wanted: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for step in &ticket.steps {
        let may_be = if step.may_repeat { step.asked.each_attempt() } else { step.asked.once() };
        let (least, most) = wanted.entry(step.action).or_default();
        *least += may_be.start();
        *most += may_be.end();
    }
    for (action, (least, most)) in wanted {
        let found = actions.iter().filter(|one| **one == action).count();
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        findings.compare(found, least..=most, || format!("ticket {id}: {action}"));
    }
    let acknowledged = ticket.steps.iter().filter(|step| step.asked.is_acknowledged);
    let acknowledged: Vec<&str> = acknowledged.map(|step| step.action).collect();
    if !is_within(&acknowledged, &actions) && acknowledged.iter().all(|one| actions.contains(one)) {
        findings.add(Wrong::OutOfOrder, || {
            format!("ticket {id}: {actions:?}, acknowledged as {acknowledged:?}")
        });
    }
    for comment in &ticket.comments {
        let found = stored.comments.iter().filter(|body| **body == comment.body).count();
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        findings.compare(found, comment.asked.each_attempt(), || {
            format!("ticket {id}: comment {}", comment.body)
        });
    }
}

/// Whether the parts are in the whole, in that order.
fn is_within(parts: &[&str], whole: &[&str]) -> bool {
    let mut rest = whole.iter();
    parts.iter().all(|part| rest.any(|one| one == part))
}

/// The events of each ticket that each user was told of, in the order of numbers.
type Announced<'a> = HashMap<u64, HashMap<u64, Vec<&'a str>>>;

fn told<'a>(facts: &'a Facts, without: &HashSet<u64>) -> Announced<'a> {
    let mut told = Announced::new();
    for (user, inbox) in facts.inboxes.iter().filter(|(user, _)| !without.contains(*user)) {
        let of_user = told.entry(*user).or_default();
        for row in &inbox.rows {
            if let Some(ticket) = row.ticket {
                of_user.entry(ticket).or_default().push(&row.event);
            }
        }
    }
    told
}

/// Every recipient of every entry of its history was told once, in that order.
fn check_told(
    id: u64,
    ticket: &TicketFacts,
    told: &Announced<'_>,
    facts: &Facts,
    findings: &mut Findings,
) {
    for (user, of_user) in told {
        let owed = owed(*user, ticket, facts);
        let all = of_user.get(&id).map(Vec::as_slice).unwrap_or_default();
        let was_told: Vec<&str> = all.iter().copied().filter(|one| *one != "mentioned").collect();
        if owed == was_told {
            continue;
        }
        let count = |of: &[&str], event: &str| {
            u64::try_from(of.iter().filter(|one| **one == event).count()).unwrap_or(u64::MAX)
        };
        let events: HashSet<&str> = owed.iter().chain(&was_told).copied().collect();
        let before = findings.clone();
        for event in events {
            let owed = count(&owed, event);
            findings.compare(count(&was_told, event), owed..=owed, || {
                format!("user {user}: {event} of ticket {id}")
            });
        }
        if *findings == before {
            findings.add(Wrong::OutOfOrder, || {
                format!("user {user}: ticket {id}: {was_told:?}, not {owed:?}")
            });
        }
    }
}

/// The events of a ticket that a user is told of.
fn owed<'a>(user: u64, ticket: &'a TicketFacts, facts: &Facts) -> Vec<&'a str> {
    let mut owed = Vec::new();
    let mut was_assigned = false;
    for (_, action, by) in &ticket.history {
        let is_creator = user == ticket.creator;
        let is_admin = facts.admins.contains(&user);
        let is_developer = ticket.assigned_to.contains(&user);
        let (event, is_owed) = match action.as_str() {
            "create" => ("ticket_created", is_admin),
            "open" => ("ticket_opened", is_creator),
            "assign" => ("ticket_assigned", is_developer && !was_assigned),
            "start_work" => ("work_started", is_creator),
            "finish_work" => ("work_finished", is_creator || is_admin),
            "approve" => ("ticket_approved", is_admin || is_developer),
            "reject" => ("ticket_rejected", is_admin || is_developer),
            _ => continue,
        };
        was_assigned |= action == "assign";
        if is_owed && *by != user {
            owed.push(event);
        }
    }
    owed
}

/// Each recipient has each message once.
fn check_sends(ledger: &Ledger, facts: &Facts, deleters: &HashSet<u64>, findings: &mut Findings) {
    let mut found: HashMap<(u64, &str), u64> = HashMap::new();
    for (user, inbox) in &facts.inboxes {
        for row in inbox.rows.iter().filter(|row| row.ticket.is_none()) {
            *found.entry((*user, &row.title)).or_default() += 1;
        }
    }
    for send in &ledger.sends {
        for user in &send.recipients {
            let found = found.remove(&(*user, send.title.as_str())).unwrap_or_default();
            let once = send.asked.once();
            let least = if deleters.contains(user) { 0 } else { *once.start() };
            findings.compare(found, least..=*once.end(), || {
                format!("notification {} to user {user}", send.title)
            });
        }
    }
    for (user, title) in found.keys() {
        findings.add(Wrong::Doubled, || {
            format!("notification {title} to user {user}, who is no recipient")
        });
    }
}

/// Each mention in a stored comment was told once.
fn check_mentions(
    ledger: &Ledger,
    facts: &Facts,
    deleters: &HashSet<u64>,
    findings: &mut Findings,
) {
    for (ticket, comment) in ledger
        .tickets
        .iter()
        .flat_map(|ticket| ticket.comments.iter().map(move |one| (ticket, one)))
    {
        let (Some(user), Some((id, stored))) = (comment.mentions, stored(ticket, facts)) else {
            continue;
        };
        let Some(inbox) = facts.inboxes.get(&user).filter(|_| !deleters.contains(&user)) else {
            continue;
        };
        let of_all = ticket
            .comments
            .iter()
            .filter(|one| one.mentions == Some(user) && stored.comments.contains(&one.body));
        let owed = u64::try_from(of_all.count()).unwrap_or(u64::MAX);
        let is_one = |row: &&InboxRow| row.event == "mentioned" && row.ticket == Some(id);
        let found = u64::try_from(inbox.rows.iter().filter(is_one).count()).unwrap_or(u64::MAX);
        findings.compare(found, owed..=owed, || {
            format!("user {user}: mentioned on ticket {id} in {}", comment.body)
        });
    }
}

/// Each row is as its last acknowledged mark left it.
fn check_marks(marks: &[MarkRecord], facts: &Facts, findings: &mut Findings) {
    let mut last: HashMap<(u64, u64), Option<Mark>> = HashMap::new();
    for mark in marks {
        last.insert((mark.user, mark.id), mark.asked.is_acknowledged.then_some(mark.mark));
    }
    let mut states: HashMap<(u64, u64), bool> = HashMap::new();
    for (user, inbox) in &facts.inboxes {
        states.extend(inbox.rows.iter().map(|row| ((*user, row.id), row.is_read)));
    }
    for ((user, id), mark) in last {
        let Some(mark) = mark else { continue };
        let state = states.get(&(user, id)).copied();
        let is_kept = match mark {
            Mark::Read => state == Some(true),
            Mark::Unread => state == Some(false),
            Mark::Deleted => state.is_none(),
        };
        if !is_kept {
            findings.add(Wrong::Lost, || format!("user {user}: the mark of id {id}: {mark:?}"));
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
