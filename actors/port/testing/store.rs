//! A store in memory that keeps the promises of the ports, and can be made to break them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compact_str::CompactString;
use jiff::Timestamp;
use tokio::sync::watch;

use super::content;
use crate::StoreError;
use crate::retention::Old;
use crate::tickets::InboxEntry;
use bellpull_domain::address::Addresses;
use bellpull_domain::comment::Comment;
use bellpull_domain::ids::{NotificationId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::{Change, Entry, Head, MessageContent, RowState};
use bellpull_domain::ticket::{Caller, Category, HistoryEntry, Priority, Project, Status, Ticket};
use bellpull_domain::user::{Origin, Role, User};

/// The operations of the store that a test can disturb separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// The state of an inbox.
    Head,
    /// Entries, of a backlog or a gap.
    Entries,
    /// Marks.
    Mark,
    /// Lists, and single rows.
    List,
    /// Delivered positions.
    Save,
    /// Reading tickets, projects, users.
    Ticket,
    /// Writing a decision.
    Commit,
    /// Taking a send in.
    Begin,
    /// Writing a send's next chunk.
    Chunk,
    /// Answering that a chunk was written.
    Chunked,
    /// Reading what is due.
    Due,
    /// Forgetting keys.
    Forget,
    /// Removing other old rows.
    Retain,
}

/// How the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Good,
    /// That it is unavailable.
    Fail,
    /// Not before the mode changes.
    Hang,
    /// After so long.
    Delay(Duration),
    /// The state when it was requested, after this long: for reads of inboxes.
    Late(Duration),
}

/// How each operation is answered, and how often it was requested.
#[derive(Debug, Default)]
struct Gates {
    modes: BTreeMap<Op, Mode>,
    asked: BTreeMap<Op, usize>,
}

/// A row of an inbox.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) entry: Entry,
    pub(super) changed_seq: Seq,
    pub(super) state: RowState,
}

/// An inbox with its rows, by their births.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) head: Head,
    pub(super) acknowledged: Option<Seq>,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) projects: BTreeMap<ProjectId, Project>,
    pub(super) members: BTreeSet<(ProjectId, UserId)>,
    pub(super) tickets: BTreeMap<TicketId, Ticket>,
    pub(super) comments: Vec<Comment>,
    pub(super) history: Vec<(TicketId, HistoryEntry)>,
    pub(super) inboxes: BTreeMap<UserId, Inbox>,
    pub(super) sends: super::kept_sends::Kept,
    /// When those that may be removed ended.
    pub(super) old: BTreeMap<Old, Vec<Timestamp>>,
    pub(super) old_words: u64,
    pub(super) last_ticket: i64,
    pub(super) last_notification: i64,
}

impl Data {
    /// A row is added to an inbox.
    pub(super) fn append(
        &mut self,
        recipient: UserId,
        content: &Arc<MessageContent>,
    ) -> InboxEntry {
        self.last_notification += 1;
        let id = NotificationId(self.last_notification);
        let inbox = self.inboxes.entry(recipient).or_default();
        let seq = inbox.head.append();
        let entry = Entry { id, seq, is_read: false, message: Arc::clone(content) };
        inbox.rows.push(Row { entry, changed_seq: seq, state: RowState::Unread });
        InboxEntry { recipient, id, seq, unread_count: inbox.head.unread_count }
    }
}

/// The store: its clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FakeStore {
    data: Arc<Mutex<Data>>,
    gates: watch::Sender<Gates>,
}

/// A test that panicked over the data has failed already; others may go on reading it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeStore {
    /// A store with the open project 1 and no users.
    #[must_use]
    pub fn new() -> Self {
        let store = Self::default();
        store.add_project(ProjectId::DEFAULT, "TKT", true);
        store
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        lock(&self.data)
    }

    /// From now on the operation is answered so.
    pub fn set(&self, op: Op, mode: Mode) {
        self.gates.send_modify(|gates| {
            gates.modes.insert(op, mode);
        });
    }

    /// How often the operation was requested.
    #[must_use]
    pub fn asked(&self, op: Op) -> usize {
        self.gates.borrow().asked.get(&op).copied().unwrap_or(0)
    }

    /// Waits until the operation was requested this often.
    pub async fn until_asked(&self, op: Op, times: usize) {
        let mut gates = self.gates.subscribe();
        let often = |gates: &Gates| gates.asked.get(&op).is_some_and(|asked| *asked >= times);
        let _ = gates.wait_for(often).await;
    }

    /// Handles an operation according to its mode.
    pub(super) async fn pass(&self, op: Op) -> Result<(), StoreError> {
        self.gates.send_modify(|gates| *gates.asked.entry(op).or_default() += 1);
        let mut gates = self.gates.subscribe();
        loop {
            let mode = gates.borrow_and_update().modes.get(&op).copied().unwrap_or(Mode::Good);
            match mode {
                Mode::Good | Mode::Late(_) => return Ok(()),
                Mode::Fail => return Err(StoreError::Unavailable("told to fail".to_owned())),
                Mode::Hang => {
                    let _ = gates.changed().await;
                }
                Mode::Delay(time) => {
                    tokio::time::sleep(time).await;
                    return Ok(());
                }
            }
        }
    }

    /// The answer takes as long as the mode says.
    pub(super) async fn carry<T>(&self, op: Op, answer: T) -> T {
        let mode = self.gates.borrow().modes.get(&op).copied();
        if let Some(Mode::Late(time)) = mode {
            tokio::time::sleep(time).await;
        }
        answer
    }

    /// Adds an account with that role, and returns it as a caller.
    #[must_use]
    pub fn add_user(&self, id: i64, role: Role) -> Caller {
        let user = User {
            id: UserId(id),
            username: format!("user{id}").into(),
            addresses: Addresses::default(),
            full_name: CompactString::default(),
            role,
            is_active: true,
            is_email_verified: true,
            created_at: Timestamp::UNIX_EPOCH,
            origin: Origin::Hub,
            tokens_from: Timestamp::UNIX_EPOCH,
        };
        let caller = Caller::from(&user);
        self.data().users.insert(user.id, user);
        caller
    }

    /// The account as the store keeps it.
    #[must_use]
    pub fn user_row(&self, id: UserId) -> Option<User> {
        self.data().users.get(&id).cloned()
    }

    /// Adds a project.
    pub fn add_project(&self, id: ProjectId, key: &str, is_open: bool) {
        let project = Project { id, key: key.to_owned(), name: format!("Project {key}"), is_open };
        self.data().projects.insert(id, project);
    }

    /// Adds a ticket directly, without the hub.
    pub fn add_ticket(&self, id: TicketId, project: ProjectId, created_by: UserId) {
        let ticket = Ticket {
            id,
            project,
            project_name: String::new(),
            key: format!("TKT-{id}"),
            title: format!("Ticket {id}"),
            description: String::new(),
            priority: Priority::Medium,
            category: Category::Other,
            status: Status::New,
            created_by,
            created_by_name: String::new(),
            assigned_to: Vec::new(),
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        self.data().tickets.insert(id, ticket);
    }

    /// Adds a member to a project.
    pub fn add_member(&self, project: ProjectId, user: UserId) {
        self.data().members.insert((project, user));
    }

    /// Removes a member without telling any actor.
    pub fn remove_member_now(&self, project: ProjectId, user: UserId) {
        self.data().members.remove(&(project, user));
    }

    /// Switches an account on or off.
    pub fn set_active(&self, id: UserId, is_active: bool) {
        if let Some(user) = self.data().users.get_mut(&id) {
            user.is_active = is_active;
        }
    }

    /// A rival on another node deletes a ticket.
    pub fn remove_ticket(&self, id: TicketId) {
        self.data().tickets.remove(&id);
    }

    /// Adds a notification; returns its hint, for a test to pass on, duplicate or lose.
    pub fn append(&self, recipient: UserId, body: &str) -> Change {
        let content = content(body);
        let placed = self.data().append(recipient, &content);
        let entry = Entry { id: placed.id, seq: placed.seq, is_read: false, message: content };
        Change::Added { entry, unread_count: placed.unread_count }
    }

    /// The state of an inbox, whatever the mode.
    #[must_use]
    pub fn head_now(&self, user: UserId) -> Head {
        self.data().inboxes.get(&user).map(|inbox| inbox.head).unwrap_or_default()
    }

    /// The delivered position is so already.
    pub fn set_delivered(&self, user: UserId, seq: i64) {
        self.data().inboxes.entry(user).or_default().head.delivered_seq = Seq(seq);
    }

    /// A rival on another node changes a ticket.
    pub fn rival(&self, id: TicketId, change: impl FnOnce(&mut Ticket)) {
        if let Some(ticket) = self.data().tickets.get_mut(&id) {
            change(ticket);
            ticket.version += 1;
        }
    }

    /// The ticket as it is stored.
    #[must_use]
    pub fn ticket_now(&self, id: TicketId) -> Option<Ticket> {
        self.data().tickets.get(&id).cloned()
    }

    /// The actions of a ticket's history, oldest first.
    #[must_use]
    pub fn actions(&self, id: TicketId) -> Vec<&'static str> {
        let data = self.data();
        let own = data.history.iter().filter(|(ticket, _)| *ticket == id);
        own.map(|(_, entry)| entry.action).collect()
    }
}
