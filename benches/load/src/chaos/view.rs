//! What one client saw, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::family::Family;
use super::finding::{Findings, Wrong};

/// The rows of an inbox, by number: id, and whether it is read.
pub(super) type Rows = BTreeMap<u64, (u64, bool)>;

/// What one client saw.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Which client it is, for findings.
    pub(super) name: String,
    pub(super) user: u64,
    /// Whether it asks for what came after its position (`since`); otherwise it reloads its list
    /// when it comes back.
    pub(super) has_cursor: bool,
    /// The numbers and ids of notifications, by socket.
    pub(super) sockets: Vec<Vec<(u64, u64)>>,
    /// What it read from lists: ids by number.
    listed: BTreeMap<u64, u64>,
    /// The highest number that it saw.
    last: u64,
    /// Complaints of the server.
    pub(super) errors: Vec<String>,
    /// Why its token was not taken.
    refusals: Vec<String>,
}

impl View {
    /// The highest number that it saw.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// A notification, on its latest socket.
    pub(super) fn row(&mut self, seq: u64, id: u64) {
        self.last = self.last.max(seq);
        if let Some(socket) = self.sockets.last_mut() {
            socket.push((seq, id));
        }
    }

    /// Numbers and ids of a list.
    pub(super) fn list(&mut self, rows: impl IntoIterator<Item = (u64, u64)>) {
        self.listed.extend(rows);
        self.last = self.last.max(self.listed.keys().next_back().copied().unwrap_or_default());
    }

    /// Compares it with the inbox, of which some rows may be deleted. The client is expected to
    /// have everything.
    /// Where rows were lost after they were shown (`is_lossy`), it may have had those too, in any
    /// order.
    pub(super) fn check(
        &self,
        rows: &Rows,
        deleted: &HashMap<u64, u64>,
        is_lossy: bool,
        findings: &mut Findings,
    ) {
        if !is_lossy {
            self.check_known(rows, deleted, findings);
        }
        let seen: HashSet<(u64, u64)> = self.seen().collect();
        for (seq, (id, _)) in rows {
            if !seen.contains(&(*seq, *id)) {
                findings.add(Wrong::Lost, || {
                    format!("{}: never saw number {seq} (id {id})", self.name)
                });
            }
        }
    }

    /// Numbers and ids.
    fn seen(&self) -> impl Iterator<Item = (u64, u64)> {
        let listed = self.listed.iter().map(|(seq, id)| (*seq, *id));
        self.sockets.iter().flatten().copied().chain(listed)
    }

    /// What it had was in order, whole, and is in the inbox.
    fn check_known(&self, rows: &Rows, deleted: &HashMap<u64, u64>, findings: &mut Findings) {
        for (n, socket) in self.sockets.iter().enumerate() {
            self.check_order(socket, &format!("socket {n}"), findings);
            self.check_whole(socket, n, rows, findings);
        }
        if self.has_cursor {
            let all: Vec<(u64, u64)> = self.sockets.iter().flatten().copied().collect();
            // Its own sockets were checked: what is left is from one to the next.
            let mut between = Findings::default();
            self.check_order(&all, "all sockets", &mut between);
            let has_order = self.sockets.iter().all(|socket| is_ascending(socket));
            if has_order {
                findings.merge(between);
            }
        }
        let seen: HashSet<(u64, u64)> = self.seen().collect();
        for (seq, id) in seen.iter().filter(|(_, id)| !deleted.contains_key(id)) {
            if rows.get(seq).is_none_or(|(stored, _)| stored != id) {
                findings.add(Wrong::Lost, || {
                    format!("{}: saw number {seq} (id {id}), which the store has not", self.name)
                });
            }
        }
    }

    /// Numbers only increase.
    fn check_order(&self, shown: &[(u64, u64)], place: &str, findings: &mut Findings) {
        let mut seen = HashSet::new();
        let mut last = 0;
        for (seq, _) in shown {
            if !seen.insert(*seq) {
                findings.add(Wrong::Doubled, || format!("{}: {place}: number {seq}", self.name));
            } else if *seq < last {
                findings.add(Wrong::OutOfOrder, || {
                    format!("{}: {place}: number {seq} after {last}", self.name)
                });
            }
            last = last.max(*seq);
        }
    }

    /// Between the first and the last that a socket was sent, it was sent everything.
    fn check_whole(&self, socket: &[(u64, u64)], n: usize, rows: &Rows, findings: &mut Findings) {
        let numbers: BTreeSet<u64> = socket.iter().map(|(seq, _)| *seq).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return };
        for (seq, (id, _)) in rows.range(first..=last) {
            if !numbers.contains(seq) {
                findings.add(Wrong::Lost, || {
                    format!("{}: socket {n} was not sent number {seq} (id {id})", self.name)
                });
            }
        }
    }
}

fn is_ascending(shown: &[(u64, u64)]) -> bool {
    shown.is_sorted_by(|(one, _), (next, _)| one < next)
}

/// What a client of `bellpull.v1` saw.
#[derive(Debug, Clone, Default)]
pub(super) struct ChangesView {
    /// Which client it is, for findings.
    pub(super) name: String,
    pub(super) user: u64,
    /// The numbers of all changes, by socket.
    pub(super) sockets: Vec<Vec<u64>>,
    /// The rows as it knows them: whether they are read.
    pub(super) rows: HashMap<u64, bool>,
    /// The counter of unread rows in its last frame that had one.
    pub(super) unread: Option<u64>,
    /// The highest number that it saw.
    last: u64,
    /// How often it was told to begin anew.
    pub(super) resets: u64,
    /// Complaints of the server.
    pub(super) errors: Vec<String>,
    /// Why its token was not taken.
    refusals: Vec<String>,
}

impl ChangesView {
    /// A notification.
    pub(super) fn row(&mut self, seq: u64, id: u64, is_read: bool) {
        self.number(seq);
        self.rows.insert(id, is_read);
    }

    /// A mark; `None`: the rows are deleted.
    pub(super) fn changed(&mut self, seq: u64, ids: &[u64], is_read: Option<bool>) {
        self.number(seq);
        for id in ids {
            match (is_read, self.rows.get_mut(id)) {
                (Some(is_read), Some(known)) => *known = is_read,
                // A row that it was not shown yet comes later, in its latest state.
                (Some(_), None) => {}
                (None, _) => drop(self.rows.remove(id)),
            }
        }
    }

    /// The highest number that it saw.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    fn number(&mut self, seq: u64) {
        self.last = self.last.max(seq);
        if let Some(socket) = self.sockets.last_mut() {
            socket.push(seq);
        }
    }

    /// Compares it with the inbox.
    pub(super) fn check(&self, rows: &Rows, is_lossy: bool, findings: &mut Findings) {
        let name = &self.name;
        if !is_lossy {
            self.check_known(rows, findings);
        }
        let unread = u64::try_from(rows.values().filter(|(_, is_read)| !is_read).count()).ok();
        if self.unread.is_some() && self.unread != unread {
            findings.add(Wrong::Lost, || {
                format!("{name}: its counter is {:?}, unread are {unread:?}", self.unread)
            });
        }
        for (id, is_read) in rows.values() {
            match self.rows.get(id) {
                None => findings.add(Wrong::Lost, || format!("{name}: never saw id {id}")),
                Some(known) if known != is_read => findings.add(Wrong::Lost, || {
                    format!("{name}: was not told that is_read of id {id} is {is_read}")
                }),
                Some(_) => {}
            }
        }
    }

    /// What it had was in order, and is in the inbox.
    fn check_known(&self, rows: &Rows, findings: &mut Findings) {
        let name = &self.name;
        for (n, socket) in self.sockets.iter().enumerate() {
            for pair in socket.windows(2) {
                let wrong = match pair[1].cmp(&pair[0]) {
                    std::cmp::Ordering::Greater => continue,
                    std::cmp::Ordering::Equal => Wrong::Doubled,
                    std::cmp::Ordering::Less => Wrong::OutOfOrder,
                };
                findings.add(wrong, || {
                    format!("{name}: socket {n}: change {} after {}", pair[1], pair[0])
                });
            }
        }
        for _ in 0..self.resets {
            findings.add(Wrong::Lost, || format!("{name}: was told to begin anew"));
        }
        let stored: HashSet<u64> = rows.values().map(|(id, _)| *id).collect();
        for id in self.rows.keys().filter(|id| !stored.contains(*id)) {
            findings.add(Wrong::Lost, || format!("{name}: saw id {id}, which the store has not"));
        }
    }
}

/// What the client of a board saw.
#[derive(Debug, Clone, Default)]
pub(super) struct BoardView {
    /// Which client it is, for findings.
    pub(super) name: String,
    /// Its own user, of which it is told nothing.
    pub(super) user: u64,
    /// Who is there, as it was told.
    pub(super) present: BTreeSet<u64>,
    /// The last version of each ticket on this socket.
    versions: HashMap<u64, u64>,
    comments: HashSet<u64>,
    /// What was wrong.
    pub(super) findings: Findings,
    /// Complaints of the server.
    pub(super) errors: Vec<String>,
    /// Why its token was not taken.
    refusals: Vec<String>,
}

impl BoardView {
    /// The view of a user's client.
    pub(super) fn of(name: String, user: u64) -> Self {
        Self { name, user, ..Self::default() }
    }

    /// A new socket: a board has no position.
    pub(super) fn begin(&mut self) {
        self.versions.clear();
        self.comments.clear();
        self.present.clear();
    }

    /// A frame of its family.
    pub(super) fn joined(&mut self, user: u64) {
        if user != self.user && !self.present.insert(user) {
            let name = &self.name;
            self.findings.add(Wrong::Doubled, || format!("{name}: user {user} joined twice"));
        }
    }

    /// A user went.
    pub(super) fn left(&mut self, user: u64) {
        if user != self.user && !self.present.remove(&user) {
            let name = &self.name;
            self.findings.add(Wrong::Doubled, || format!("{name}: user {user} left twice"));
        }
    }

    /// Who is there.
    pub(super) fn state(&mut self, users: Vec<u64>) {
        let me = self.user;
        self.present = users.into_iter().filter(|user| *user != me).collect();
    }

    /// A ticket changed. Its changes come by ascending version; the board shows the last.
    pub(super) fn ticket(&mut self, id: u64, version: u64) {
        let last = self.versions.insert(id, version);
        let Some(last) = last.filter(|last| version <= *last) else { return };
        self.versions.insert(id, last);
        let wrong = if version == last { Wrong::Doubled } else { Wrong::OutOfOrder };
        let name = &self.name;
        self.findings.add(wrong, || format!("{name}: ticket {id}: version {version} after {last}"));
    }

    /// A comment was added.
    pub(super) fn comment(&mut self, id: u64) {
        if !self.comments.insert(id) {
            let name = &self.name;
            self.findings.add(Wrong::Doubled, || format!("{name}: comment {id}"));
        }
    }
}

/// What any client saw.
#[derive(Debug)]
pub(super) enum Seen {
    Entries(View),
    Changes(ChangesView),
    Board(BoardView),
}

impl Seen {
    /// An empty one.
    pub(super) fn new(family: Family, client: usize, user: u64, has_cursor: bool) -> Self {
        let cursor = if has_cursor { " with since" } else { "" };
        let name = format!("client {client} ({family:?}{cursor}, user {user})");
        match family {
            Family::V1 => Self::Changes(ChangesView { name, user, ..ChangesView::default() }),
            Family::Tickets | Family::Presence => Self::Board(BoardView::of(name, user)),
            Family::Incident | Family::Project | Family::Inbox | Family::Academy => {
                Self::Entries(View { name, user, has_cursor, ..View::default() })
            }
        }
    }

    /// Its token was not taken. Tokens are valid throughout a schedule, and no account is logged
    /// out.
    pub(super) fn refused(&mut self, why: String) {
        match self {
            Self::Entries(View { refusals, .. })
            | Self::Changes(ChangesView { refusals, .. })
            | Self::Board(BoardView { refusals, .. }) => refusals.push(why),
        }
    }

    /// The refusals of its token.
    pub(super) fn check_refusals(&self, findings: &mut Findings) {
        let (Self::Entries(View { name, refusals, .. })
        | Self::Changes(ChangesView { name, refusals, .. })
        | Self::Board(BoardView { name, refusals, .. })) = self;
        for why in refusals {
            findings.add(Wrong::Lost, || format!("{name}: was logged out: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[u64]) -> Rows {
        numbers.iter().map(|seq| (*seq, (100 + seq, false))).collect()
    }

    fn shown(numbers: &[u64]) -> Vec<(u64, u64)> {
        numbers.iter().map(|seq| (*seq, 100 + seq)).collect()
    }

    /// Lost, doubled, out of order.
    fn counts(findings: &Findings) -> [u64; 3] {
        [Wrong::Lost, Wrong::Doubled, Wrong::OutOfOrder].map(|wrong| findings.count(wrong))
    }

    fn checked(sockets: &[&[u64]], has_cursor: bool, stored: &[u64]) -> [u64; 3] {
        let sockets = sockets.iter().map(|socket| shown(socket)).collect();
        let view = View { sockets, has_cursor, ..View::default() };
        let mut findings = Findings::default();
        view.check(&rows(stored), &HashMap::from([(109, 1)]), false, &mut findings);
        counts(&findings)
    }

    #[test]
    fn a_client_with_a_position_has_each_once_and_in_order() {
        assert_eq!(checked(&[&[1, 2], &[], &[5]], true, &[1, 2, 5]), [0, 0, 0]);
        assert_eq!(checked(&[&[1, 2], &[5]], true, &[1, 2, 3, 5]), [1, 0, 0], "between sockets");
        assert_eq!(checked(&[&[1, 3]], true, &[1, 2, 3]), [2, 0, 0], "skipped, and never seen");
        assert_eq!(checked(&[&[1, 2, 3]], true, &[1, 2, 3, 4]), [1, 0, 0], "the last");
        assert_eq!(checked(&[&[1, 2, 2]], true, &[1, 2]), [0, 1, 0]);
        assert_eq!(checked(&[&[1, 2], &[2, 3]], true, &[1, 2, 3]), [0, 1, 0], "from the last");
        assert_eq!(checked(&[&[1, 3, 2]], true, &[1, 2, 3]), [0, 0, 1]);
        assert_eq!(checked(&[&[1, 2, 8]], true, &[1, 2]), [1, 0, 0], "what the store lost");
        assert_eq!(checked(&[&[1, 2, 9]], true, &[1, 2]), [0, 0, 0], "what was deleted");
    }

    #[test]
    fn a_client_without_one_may_be_shown_again_what_it_knows() {
        assert_eq!(checked(&[&[1, 2], &[2, 3]], false, &[1, 2, 3]), [0, 0, 0]);
        assert_eq!(checked(&[&[1, 2], &[4]], false, &[1, 2, 3, 4]), [1, 0, 0]);
        assert_eq!(checked(&[&[2, 2], &[3, 1]], false, &[1, 2, 3]), [1, 1, 1]);
        let mut view = View { sockets: vec![shown(&[1, 2]), Vec::new()], ..View::default() };
        view.row(4, 104);
        view.list(shown(&[3]));
        let mut findings = Findings::default();
        view.check(&rows(&[1, 2, 3, 4]), &HashMap::new(), false, &mut findings);
        assert_eq!((counts(&findings), view.last()), ([0, 0, 0], 4));
    }

    #[test]
    fn a_client_of_changes_ends_with_the_state_of_the_store() {
        let mut view = ChangesView { sockets: vec![Vec::new()], ..ChangesView::default() };
        view.row(1, 101, false);
        view.row(2, 102, false);
        view.changed(3, &[101], Some(true));
        let check = |view: &ChangesView, stored: &Rows| {
            let mut findings = Findings::default();
            view.check(stored, false, &mut findings);
            counts(&findings)
        };
        let stored = Rows::from([(1, (101, true)), (2, (102, false))]);
        assert_eq!(check(&view, &stored), [0, 0, 0]);
        view.unread = Some(2);
        assert_eq!(check(&view, &stored), [1, 0, 0], "the counter");
        view.unread = Some(1);
        let more = Rows::from([(1, (101, true)), (2, (102, true)), (4, (104, false))]);
        assert_eq!(check(&view, &more), [2, 0, 0]);
        view.changed(3, &[101], Some(true));
        view.changed(2, &[101], Some(true));
        assert_eq!(check(&view, &stored), [0, 1, 1]);
        view.resets = 1;
        view.row(5, 105, false);
        assert_eq!(check(&view, &stored), [2, 1, 1], "the store has not what it was shown");
        view.changed(6, &[105], None);
        assert_eq!(check(&view, &stored), [1, 1, 1], "that was deleted");
    }

    #[test]
    fn a_board_sees_each_join_leave_and_version_once() {
        let mut view = BoardView { user: 1, ..BoardView::default() };
        view.state(vec![1, 2]);
        view.joined(3);
        view.left(2);
        view.joined(2);
        assert!(view.findings.is_empty());
        assert_eq!(view.present, BTreeSet::from([2, 3]));
        view.joined(3);
        view.left(9);
        assert_eq!(counts(&view.findings), [0, 2, 0]);
        for version in [1, 3, 3, 2, 4] {
            view.ticket(7, version);
        }
        view.comment(1);
        view.comment(1);
        assert_eq!(counts(&view.findings), [0, 4, 1]);
        view.begin();
        view.ticket(7, 4);
        view.joined(3);
        assert_eq!(counts(&view.findings), [0, 4, 1]);
    }
}
