//! The accounts of a schedule, and what all tasks of a schedule share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::Instant;

use super::manner::Pace;
use super::sent::{Sent, SentLog};
use crate::LoadError;
use crate::tokens::{LISTENER, Participants, Roster};

/// An account.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: u64,
    pub(super) username: String,
    pub(super) token: String,
}

/// All accounts.
#[derive(Debug, Clone)]
pub(super) struct People {
    pub(super) admins: Vec<Person>,
    pub(super) developers: Vec<Person>,
    pub(super) clients: Vec<Person>,
    /// A super admin who opens no sockets of its own and writes nothing; it reads for the checker,
    /// and kills actors.
    pub(super) checker: Person,
}

/// How many clients there are of each user.
const CLIENTS_A_USER: usize = 4;

impl People {
    /// The roles for so many clients: a tenth are admins, a fifth developers.
    pub(super) fn roster(clients: usize) -> Roster {
        let users = (clients / CLIENTS_A_USER).max(8);
        let (admins, developers) = ((users / 10).max(2), (users / 5).max(2));
        let others = users - admins - developers;
        let groups = vec![
            ("super_admin", 1),
            ("admin", admins),
            ("developer", developers),
            (LISTENER, others),
        ];
        Roster { groups, has_sender: false }
    }

    /// The accounts of that roster.
    ///
    /// # Errors
    /// There are too few.
    pub(super) fn of(roster: &Roster, made: &Participants) -> Result<Self, LoadError> {
        let mut everyone = made.listeners.iter().enumerate().map(|(n, user)| {
            let id = user.id.parse().map_err(|_| LoadError::failed("an account has no id"))?;
            Ok(Person { id, username: format!("load{n}"), token: user.token.clone() })
        });
        let mut groups = Vec::new();
        for (_, count) in &roster.groups {
            let group: Result<Vec<Person>, LoadError> = everyone.by_ref().take(*count).collect();
            groups.push(group?);
        }
        let few = || LoadError::failed("there are too few accounts");
        let clients = groups.pop().ok_or_else(few)?;
        let developers = groups.pop().ok_or_else(few)?;
        let admins = groups.pop().ok_or_else(few)?;
        let checker = groups.pop().and_then(|mut one| one.pop()).ok_or_else(few)?;
        Ok(Self { admins, developers, clients, checker })
    }

    /// Those with a webhook: of each role one whose rows no writer marks.
    pub(super) fn hooked(&self) -> Vec<&Person> {
        let groups = [&self.admins, &self.developers, &self.clients];
        groups.into_iter().filter_map(|group| group.get(1)).collect()
    }

    /// All but the checker's.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Person> {
        self.admins.iter().chain(&self.developers).chain(&self.clients)
    }
}

/// One of them.
pub(super) fn one<'a, T>(of: &'a [T], rng: &mut Rng) -> Option<&'a T> {
    if of.is_empty() { None } else { of.get(rng.usize(..of.len())) }
}

/// How far the schedule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Faults happen; clients come and go by themselves, too.
    Storm,
    /// The last fault is over; clients stay.
    Settling,
    /// Writers finish.
    Quiet,
    /// Clients end.
    Over,
}

/// What a client's numbers count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Follows {
    /// It has none.
    #[default]
    Nothing,
    /// New notifications.
    Entries,
    /// All changes of the inbox.
    Changes,
}

/// What a client is doing, for the checker.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    pub(super) user: u64,
    pub(super) is_open: bool,
    /// Whether it follows changes, or new entries.
    pub(super) follows: Follows,
    /// The highest number that it saw.
    pub(super) last: u64,
    /// Whom it sees, if it is on a board of presence.
    pub(super) present: Option<BTreeSet<u64>>,
}

/// Where the nodes are.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Their own addresses.
    pub(super) nodes: Vec<SocketAddr>,
    /// The lines to them, which may be at fault.
    pub(super) lines: Vec<SocketAddr>,
    /// How fast writers write.
    pub(super) tempo: Tempo,
}

/// How fast writers write.
#[derive(Debug, Clone)]
pub(super) struct Tempo {
    pub(super) pace: watch::Receiver<Pace>,
    /// How many of those that are idle in a lull are not idle.
    pub(super) busy: Arc<AtomicUsize>,
    /// When the schedule began.
    pub(super) begun: Instant,
}

impl Tempo {
    /// As it is told.
    pub(super) fn new(pace: watch::Receiver<Pace>) -> Self {
        Self { pace, busy: Arc::default(), begun: Instant::now() }
    }

    /// The time since the beginning, in milliseconds.
    pub(super) fn now(&self) -> usize {
        usize::try_from(self.begun.elapsed().as_millis()).unwrap_or(usize::MAX)
    }
}

impl Places {
    /// Without lines.
    pub(super) fn direct(nodes: Vec<SocketAddr>) -> Self {
        Self { lines: nodes.clone(), nodes, tempo: Tempo::new(watch::channel(Pace::Usual).1) }
    }
}

/// What all tasks of a schedule share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// The nodes' addresses, which stay the same.
    pub(super) nodes: Arc<[SocketAddr]>,
    /// Where clients connect: the lines to the nodes.
    lines: Arc<[SocketAddr]>,
    pub(super) tempo: Tempo,
    pub(super) phase: watch::Receiver<Phase>,
    /// Whether clients stay for seconds, or up to a minute.
    pub(super) is_short: bool,
    /// By client.
    live: Arc<Mutex<BTreeMap<usize, Live>>>,
    /// Counts the operations that change the disk, and what clients were sent, if that is asked
    /// for.
    sent: Option<Arc<SentLog>>,
}

impl Shared {
    /// At the beginning.
    pub(super) fn new(places: Places, phase: watch::Receiver<Phase>, is_short: bool) -> Self {
        let Places { nodes, lines, tempo } = places;
        let (nodes, lines) = (nodes.into(), lines.into());
        Self { nodes, lines, tempo, phase, is_short, live: Arc::default(), sent: None }
    }

    /// The same, with a log of what clients are sent.
    pub(super) fn logged(self, sent: Arc<SentLog>) -> Self {
        Self { sent: Some(sent), ..self }
    }

    /// How many operations have changed the disk; if they are not counted, the time.
    pub(super) fn operations(&self) -> usize {
        self.sent.as_ref().map_or_else(|| self.tempo.now(), |sent| sent.operations())
    }

    /// Notes what a client was sent.
    pub(super) fn note(&self, frame: Sent) {
        if let Some(sent) = &self.sent {
            sent.note(frame);
        }
    }

    /// The clients.
    pub(super) fn live(&self) -> MutexGuard<'_, BTreeMap<usize, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The phase now.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether writers write without a pause.
    pub(super) fn is_rush(&self) -> bool {
        *self.tempo.pace.borrow() == Pace::Rush
    }

    /// Waits for the end of a lull, and is busy from then on.
    pub(super) async fn busy(&self) -> Busy {
        let mut pace = self.tempo.pace.clone();
        // Without its sender there is no lull.
        let _ = pace.wait_for(|pace| *pace != Pace::Lull).await;
        self.tempo.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.tempo.busy))
    }

    /// Any node, as a load balancer without stickiness chooses.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn node(&self, rng: &mut Rng) -> Result<SocketAddr, LoadError> {
        one(&self.nodes, rng).copied().ok_or_else(|| LoadError::failed("there are no nodes"))
    }

    /// The line to any node.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn line(&self, rng: &mut Rng) -> Result<SocketAddr, LoadError> {
        one(&self.lines, rng).copied().ok_or_else(|| LoadError::failed("there are no nodes"))
    }
}

/// One that is busy until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::LoadUser;

    #[test]
    fn a_roster_becomes_people() {
        let roster = People::roster(200);
        assert_eq!(roster.listeners(), 51);
        let user = |n: usize| LoadUser { id: (n + 1).to_string(), token: String::new() };
        let made = Participants { listeners: (0..51).map(user).collect(), sender: None };
        let people = People::of(&roster, &made).unwrap();
        let counts = [people.admins.len(), people.developers.len(), people.clients.len()];
        assert_eq!((counts, people.checker.id), ([5, 10, 35], 1));
        assert_eq!(people.developers[0].username, "load6");
        assert_eq!(people.listeners().count(), 50);
        assert_eq!(People::roster(1).listeners(), 9);
    }
}
