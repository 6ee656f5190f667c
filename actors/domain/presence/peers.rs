//! Keeps the rosters of several nodes equal, over messages that may be lost, and through crashes.
//!
//! Each node is the authority for its own sessions. It publishes each change with a version. A node
//! that has the version before applies it; any other asks for all. While a node has sessions, it
//! also says every [`HEARTBEAT_EVERY`] that it is alive, with its version, so that a lost change is
//! noticed. A node of which nothing was received for [`SILENT_MAX`] of this node's own heartbeats
//! has left, and its users with it. Counted in own heartbeats and not in time, because a node that
//! was suspended must not take the others for dead when it wakes.
//!
//! Pure: messages in, events and messages out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::ids::UserId;
use super::super::stream::StreamEvent;
use super::roster::PEOPLE_MAX;
use super::{Held, NodeKey, PresenceNews, PresenceReport, Roster};

/// How often a node with sessions says that it is alive.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);

/// A node that was silent for so many heartbeats has left: after 12 to 15 s.
const SILENT_MAX: u32 = 4;

/// How many other nodes are known; further ones are not listened to until one of these has left.
const PEERS_MAX: usize = 256;

/// Users in one message: some 20 KiB.
const TOGETHER_MAX: usize = 256;

/// The nodes with sessions on a project, and what they were told of this one.
#[derive(Debug)]
pub struct Peers {
    own: NodeKey,
    version: u64,
    published: BTreeMap<UserId, Held>,
    known: BTreeMap<NodeKey, Peer>,
}

/// Another node.
#[derive(Debug)]
struct Peer {
    version: u64,
    /// Own heartbeats since its last message.
    silent: u32,
    /// The first part of a list that arrives in several.
    arriving: Vec<Held>,
    /// Whether it was asked for all since the last heartbeat.
    is_asked: bool,
}

/// The result of a message: events for this node's watchers, and messages to publish.
#[derive(Debug, Default)]
pub struct Heard {
    /// The events, in order.
    pub events: Vec<StreamEvent>,
    /// The messages, in order.
    pub publish: Vec<PresenceNews>,
}

impl Peers {
    /// None are known. `base` must be higher than any version that an earlier actor of this project
    /// on this node has reached: the time in microseconds is.
    #[must_use]
    pub fn new(own: NodeKey, base: u64) -> Self {
        Self { own, version: base, published: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// The first messages: this node has no sessions, and asks the others for theirs.
    #[must_use]
    pub fn begin(&self) -> Vec<PresenceNews> {
        let empty = PresenceReport::All { held: Vec::new(), is_first: true, is_last: true };
        vec![self.news(empty), self.news(PresenceReport::Asked { of: None })]
    }

    /// The message about a user's own sessions, if the other nodes do not know their state yet.
    pub fn changed(&mut self, user: UserId, roster: &Roster) -> Option<PresenceNews> {
        let held = roster.own(user);
        if held.as_ref() == self.published.get(&user) {
            return None;
        }
        match held.clone() {
            Some(held) => self.published.insert(user, held),
            None => self.published.remove(&user),
        };
        self.version += 1;
        Some(self.news(PresenceReport::Changed { user, held }))
    }

    /// A message of another node.
    pub fn receive(&mut self, news: PresenceNews, roster: &mut Roster) -> Heard {
        let PresenceNews { node, version, report } = news;
        let mut heard = Heard::default();
        let is_new = !self.known.contains_key(&node);
        if node == self.own || (is_new && self.known.len() >= PEERS_MAX) {
            return heard;
        }
        let known = self.known.get_mut(&node);
        let is_known = known.is_some();
        let before = known.map(|peer| {
            peer.silent = 0;
            peer.version
        });
        match report {
            PresenceReport::Asked { of } => {
                if of.is_none_or(|of| of == self.own) {
                    heard.publish = self.all();
                }
                if before != Some(version) {
                    heard.publish.extend(self.ask(node));
                }
            }
            PresenceReport::Changed { user, held } if before.map(|it| it + 1) == Some(version) => {
                self.peer(&node).version = version;
                heard.events = match held {
                    Some(held) => roster.hold(&node, held),
                    None => roster.release(&node, user),
                };
            }
            PresenceReport::Alive if before == Some(version) => {}
            PresenceReport::All { held, is_first, is_last } => {
                let peer = self.peer(&node);
                if is_first {
                    peer.arriving.clear();
                }
                let room = PEOPLE_MAX.saturating_sub(peer.arriving.len());
                peer.arriving.extend(held.into_iter().take(room));
                if is_last {
                    (peer.version, peer.is_asked) = (version, false);
                    let all = std::mem::take(&mut peer.arriving);
                    heard.events = roster.replace(&node, all);
                }
            }
            // Late: it is known already.
            PresenceReport::Changed { .. } | PresenceReport::Alive
                if before >= Some(version) && is_known => {}
            PresenceReport::Changed { .. } | PresenceReport::Alive => {
                heard.publish.extend(self.ask(node));
            }
        }
        heard
    }

    /// Asks a node for all, once between two heartbeats.
    fn ask(&mut self, node: NodeKey) -> Option<PresenceNews> {
        let was_asked = std::mem::replace(&mut self.peer(&node).is_asked, true);
        (!was_asked).then(|| self.news(PresenceReport::Asked { of: Some(node) }))
    }

    /// A heartbeat is due: says that this node is alive, and ends those that are silent.
    pub fn beat(&mut self, roster: &mut Roster) -> Heard {
        let mut heard = Heard::default();
        if !self.published.is_empty() {
            heard.publish.push(self.news(PresenceReport::Alive));
        }
        let mut left = Vec::new();
        for (node, peer) in &mut self.known {
            peer.silent += 1;
            // An answer that was lost is asked for again.
            peer.is_asked = false;
            if peer.silent > SILENT_MAX {
                left.push(node.clone());
            }
        }
        for node in left {
            self.known.remove(&node);
            heard.events.append(&mut roster.replace(&node, Vec::new()));
        }
        heard
    }

    /// How many other nodes have reported sessions.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }

    fn peer(&mut self, node: &NodeKey) -> &mut Peer {
        let new = || Peer { version: 0, silent: 0, arriving: Vec::new(), is_asked: false };
        self.known.entry(node.clone()).or_insert_with(new)
    }

    fn news(&self, report: PresenceReport) -> PresenceNews {
        PresenceNews { node: self.own.clone(), version: self.version, report }
    }

    /// All that was published, as one list.
    fn all(&self) -> Vec<PresenceNews> {
        let held: Vec<Held> = self.published.values().cloned().collect();
        let parts = held.chunks(TOGETHER_MAX).count().max(1);
        (0..parts)
            .map(|part| {
                let from = part * TOGETHER_MAX;
                let until = held.len().min(from + TOGETHER_MAX);
                self.news(PresenceReport::All {
                    held: held[from..until].to_vec(),
                    is_first: part == 0,
                    is_last: part + 1 == parts,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::super::ids::TicketId;
    use super::super::super::stream::{Person, Present};
    use super::*;

    /// A node with its roster, and the users that a client of it shows.
    struct Node {
        key: NodeKey,
        peers: Peers,
        roster: Roster,
        shown: BTreeSet<UserId>,
        is_suspended: bool,
        inbox: Vec<PresenceNews>,
    }

    impl Node {
        fn new(nth: usize, base: u64) -> Self {
            let key: NodeKey = format!("node{nth}").into();
            Self {
                peers: Peers::new(key.clone(), base),
                key,
                roster: Roster::default(),
                shown: BTreeSet::new(),
                is_suspended: false,
                inbox: Vec::new(),
            }
        }

        fn show(&mut self, events: Vec<StreamEvent>) {
            for event in events {
                match event {
                    StreamEvent::Joined(person) => {
                        assert!(self.shown.insert(person.id), "{} joined twice", person.id);
                    }
                    StreamEvent::Left(person) => {
                        assert!(self.shown.remove(&person.id), "{} left twice", person.id);
                    }
                    StreamEvent::Ticket { .. }
                    | StreamEvent::Comment(_)
                    | StreamEvent::Viewing { .. }
                    | StreamEvent::Typing { .. } => {}
                }
            }
        }
    }

    /// Nodes on a network that loses messages.
    struct Net {
        nodes: Vec<Node>,
        base: u64,
        losses: Vec<bool>,
    }

    #[derive(Debug, Clone)]
    enum Act {
        Join(i64),
        Leave(i64),
        View(i64, Option<i64>),
        Type(i64, i64),
        Beat,
        Crash,
        Suspend,
    }

    fn act() -> impl Strategy<Value = (usize, Act)> {
        let act = prop_oneof![
            4 => (1_i64..5).prop_map(Act::Join),
            2 => (1_i64..5).prop_map(Act::Leave),
            3 => (1_i64..5, prop::option::of(1_i64..4)).prop_map(|(who, on)| Act::View(who, on)),
            2 => (1_i64..5, 1_i64..4).prop_map(|(who, on)| Act::Type(who, on)),
            3 => Just(Act::Beat),
            1 => Just(Act::Crash),
            1 => Just(Act::Suspend),
        ];
        (0_usize..3, act)
    }

    fn person(user: i64) -> Person {
        Person { id: UserId(user), username: format!("user{user}").into() }
    }

    impl Net {
        fn publish(&mut self, from: usize, news: Vec<PresenceNews>) {
            for one in news {
                for to in (0..self.nodes.len()).filter(|to| *to != from) {
                    if self.losses.pop().unwrap_or_default() {
                        continue;
                    }
                    self.nodes[to].inbox.push(one.clone());
                }
            }
            self.deliver();
        }

        /// A suspended node receives everything when it wakes.
        fn deliver(&mut self) {
            for at in 0..self.nodes.len() {
                if self.nodes[at].is_suspended {
                    continue;
                }
                for one in std::mem::take(&mut self.nodes[at].inbox) {
                    let node = &mut self.nodes[at];
                    let heard = node.peers.receive(one, &mut node.roster);
                    node.show(heard.events);
                    self.publish(at, heard.publish);
                }
            }
        }

        fn act(&mut self, at: usize, act: &Act, order: u64) {
            let node = &mut self.nodes[at];
            if node.is_suspended && !matches!(act, Act::Suspend) {
                return;
            }
            let (user, events) = match act {
                Act::Join(user) => (*user, node.roster.join(person(*user), 7)),
                Act::Leave(user) => (*user, node.roster.leave(UserId(*user), 7)),
                Act::View(user, ticket) => {
                    (*user, node.roster.view(UserId(*user), 7, order, ticket.map(TicketId)))
                }
                Act::Type(user, ticket) => {
                    let (user, ticket) = (UserId(*user), TicketId(*ticket));
                    (user.0, node.roster.type_on(user, 7, ticket, true, Duration::ZERO))
                }
                Act::Beat => return self.beat(at),
                Act::Crash => return self.crash(at),
                Act::Suspend => {
                    node.is_suspended = !node.is_suspended;
                    return self.deliver();
                }
            };
            node.show(events);
            let news = node.peers.changed(UserId(user), &node.roster);
            self.publish(at, news.into_iter().collect());
        }

        fn beat(&mut self, at: usize) {
            let node = &mut self.nodes[at];
            let heard = node.peers.beat(&mut node.roster);
            node.show(heard.events);
            self.publish(at, heard.publish);
        }

        /// The project's actor is lost with its sessions, and another begins.
        fn crash(&mut self, at: usize) {
            self.base += 1_000_000;
            self.nodes[at] = Node::new(at, self.base);
            let news = self.nodes[at].peers.begin();
            self.publish(at, news);
        }

        fn present(&self, at: usize) -> Vec<Present> {
            self.nodes[at].roster.present()
        }
    }

    proptest! {
        /// Whatever was lost, once messages arrive again and a few heartbeats have passed, all
        /// nodes show the same users with the same activity, and none joined or left twice.
        #[test]
        fn nodes_agree_after_losses_crashes_and_suspensions(
            acts in prop::collection::vec(act(), 1..60),
            losses in prop::collection::vec(prop::bool::weighted(0.3), 0..200),
        ) {
            let nodes = (0..3).map(|nth| Node::new(nth, 1)).collect();
            let mut net = Net { nodes, base: 1, losses };
            for at in 0..3 {
                let news = net.nodes[at].peers.begin();
                net.publish(at, news);
            }
            for (order, (at, act)) in (1..).zip(&acts) {
                net.act(*at, act, order);
            }
            net.losses.clear();
            for at in 0..3 {
                net.nodes[at].is_suspended = false;
            }
            net.deliver();
            for _ in 0..=SILENT_MAX + 1 {
                for at in 0..3 {
                    net.beat(at);
                }
            }
            let wanted = net.present(0);
            for at in 0..3 {
                prop_assert_eq!(&net.present(at), &wanted, "{}", net.nodes[at].key);
                let shown: Vec<UserId> = wanted.iter().map(|one| one.person.id).collect();
                let there: Vec<UserId> = net.nodes[at].shown.iter().copied().collect();
                prop_assert_eq!(there, shown);
            }
            // The union of what each node's own sessions do, and of nothing else.
            let own: BTreeSet<UserId> = net
                .nodes
                .iter()
                .flat_map(|node| node.roster.all_own())
                .map(|held| held.person.id)
                .collect();
            prop_assert_eq!(own, wanted.iter().map(|one| one.person.id).collect());
        }
    }

    #[test]
    fn a_node_that_falls_silent_leaves_with_its_users_and_comes_back() {
        let (mut here, mut there) = (Node::new(0, 1), Node::new(1, 1));
        there.roster.join(person(5), 1);
        let joined = there.peers.changed(UserId(5), &there.roster).unwrap();
        // It is unknown: this node asks.
        let asked = here.peers.receive(joined, &mut here.roster).publish.remove(0);
        for news in there.peers.receive(asked, &mut there.roster).publish {
            let events = here.peers.receive(news, &mut here.roster).events;
            here.show(events);
        }
        assert_eq!(here.shown.len(), 1);
        for beat in 0..=SILENT_MAX {
            assert_eq!(here.shown.len(), 1, "{beat}");
            let events = here.peers.beat(&mut here.roster).events;
            here.show(events);
        }
        assert!(here.shown.is_empty());
        let alive = there.peers.beat(&mut there.roster).publish.remove(0);
        let asked = here.peers.receive(alive, &mut here.roster).publish.remove(0);
        for news in there.peers.receive(asked, &mut there.roster).publish {
            let events = here.peers.receive(news, &mut here.roster).events;
            here.show(events);
        }
        assert_eq!(here.shown.len(), 1);
    }

    #[test]
    fn a_long_list_comes_in_parts_and_counts_when_it_is_complete() {
        let (mut here, mut there) = (Node::new(0, 1), Node::new(1, 1));
        for user in 1..=1_000 {
            there.roster.join(person(user), 1);
            there.peers.changed(UserId(user), &there.roster).unwrap();
        }
        let ask = here.peers.begin().pop().unwrap();
        let parts = there.peers.receive(ask, &mut there.roster).publish;
        let is_list = |news: &&PresenceNews| matches!(news.report, PresenceReport::All { .. });
        assert_eq!(parts.iter().filter(is_list).count(), 4);
        for (nth, part) in parts.into_iter().enumerate() {
            assert!(nth >= 4 || here.roster.count() == 0, "{nth}");
            here.peers.receive(part, &mut here.roster);
        }
        assert_eq!(here.roster.count(), 1_000);
    }

    #[test]
    fn what_comes_from_other_nodes_has_a_limit() {
        let person = |id| Person { id: UserId(id), username: format!("u{id}").into() };
        let held = |id| Held { person: person(id), viewing: None, typing: Vec::new() };
        let (mut peers, mut roster) = (Peers::new("own".into(), 0), Roster::default());
        let mut receive = |node: &str, version, report| {
            peers.receive(PresenceNews { node: node.into(), version, report }, &mut roster);
            (peers.known.get(node).map_or(0, |peer| peer.arriving.len()), peers.count())
        };
        // A list that never ends.
        let part = 8_192;
        for from in 0..10 {
            let held = (from * part..(from + 1) * part).map(held).collect();
            let report = PresenceReport::All { held, is_first: from == 0, is_last: false };
            let (arriving, _) = receive("a", 1, report);
            assert!(arriving <= PEOPLE_MAX, "{arriving}");
        }
        let end = PresenceReport::All { held: vec![held(-1)], is_first: false, is_last: true };
        assert_eq!(receive("a", 1, end).0, 0);
        let user = UserId(i64::MAX);
        let one_more = PresenceReport::Changed { user, held: Some(held(user.0)) };
        receive("a", 2, one_more);
        for nth in 0..2 * PEERS_MAX {
            let (_, known) = receive(&format!("node-{nth}"), 1, PresenceReport::Alive);
            assert!(known <= PEERS_MAX, "{known}");
        }
        assert_eq!(roster.present().len(), PEOPLE_MAX);
    }
}
