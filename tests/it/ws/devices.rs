//! Three devices of one person at random, over real sockets: two of `bellpull.v1`, which mark over
//! theirs, and one of a family that marks over REST. What each of them knows in the end is what the
//! store has.

use std::collections::{BTreeMap, BTreeSet};

use bellpull_domain::ids::{Seq, UserId};
use bellpull_port::inbox::ChangedRows;
use futures_util::future::join_all;
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Socket, raise};
use crate::support::{Hub, Person, answer};

const OPERATIONS: usize = 1_000;
/// So many are under way at once, on all devices: fewer than may wait on one.
const TOGETHER: usize = 16;

#[derive(Debug, Clone, Copy)]
enum Mark {
    Read,
    Unread,
    Delete,
}

#[derive(Debug, Clone, Copy)]
enum Whom {
    /// One, by so many thousandths of all that were born.
    One(usize),
    All,
}

#[derive(Debug, Clone)]
enum Operation {
    Added,
    /// On that device.
    Marked(usize, Whom, Mark),
}

fn operation() -> impl Strategy<Value = Operation> {
    let mark = prop_oneof![
        4 => Just(Mark::Read), 4 => Just(Mark::Unread), 1 => Just(Mark::Delete)
    ];
    let whom = prop_oneof![12 => (0usize..1_000).prop_map(Whom::One), 1 => Just(Whom::All)];
    let marked = (0usize..3, whom, mark).prop_map(|(device, whom, mark)| match (whom, mark) {
        // Not everything again and again.
        (Whom::All, Mark::Delete) => Operation::Marked(device, whom, Mark::Unread),
        _ => Operation::Marked(device, whom, mark),
    });
    prop_oneof![1 => Just(Operation::Added), 2 => marked]
}

/// What a device knows from its frames. It finds a double or a step back by itself.
#[derive(Debug, Default)]
struct Known {
    /// Each row that it has: whether it was read, and the position at which it learned that.
    rows: BTreeMap<i64, (bool, i64)>,
    entries: BTreeSet<i64>,
    at: i64,
    unread_count: i64,
    /// What it asked for and was not answered yet.
    asked: BTreeMap<String, (Whom, Option<i64>, Mark)>,
    /// All its frames and requests, to explain a failure.
    log: Vec<Value>,
}

impl Known {
    fn take(&mut self, frame: &Value) {
        self.log.push(frame.clone());
        match frame["type"].as_str().unwrap() {
            "notification" => {
                self.up(frame);
                self.born(frame);
                self.unread_count = frame["unread_count"].as_i64().unwrap();
            }
            "inbox" => {
                self.up(frame);
                let mark = match (frame["deleted"] == true, frame["is_read"] == true) {
                    (true, _) => Mark::Delete,
                    (false, true) => Mark::Read,
                    (false, false) => Mark::Unread,
                };
                for id in frame["ids"].as_array().unwrap() {
                    self.mark(id.as_i64().unwrap(), mark, self.at);
                }
                self.unread_count = frame["unread_count"].as_i64().unwrap();
            }
            "reply" => {
                let asked = self.asked.remove(frame["id"].as_str().unwrap());
                let (whom, id, mark) = asked.unwrap_or_else(|| panic!("answered twice: {frame}"));
                assert_eq!(frame["ok"], true, "{frame}");
                let seq = frame["seq"].as_i64().unwrap();
                let is_meant = |row: i64| matches!(whom, Whom::All) || Some(row) == id;
                // What it knows of a later number holds against what it asked for.
                let meant = self.rows.iter().filter(|(id, row)| is_meant(**id) && row.1 < seq);
                for id in meant.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.mark(id, mark, seq);
                }
                self.unread_count = frame["unread_count"].as_i64().unwrap();
            }
            // The family whose count is its own until it is told another.
            "new_notification" => {
                let row = &frame["notification"];
                self.up(row);
                self.born(row);
                self.unread_count += i64::from(row["is_read"] == false);
            }
            "notification_updated" => {
                self.unread_count = frame["unread_count"].as_i64().unwrap();
            }
            other => panic!("{other}: {frame}"),
        }
    }

    /// What was heard and asked of a row, or of all.
    fn story(&self, id: i64) -> String {
        let is_of_it = |said: &&Value| {
            let is_named = |ids: &Value| ids.as_array().is_some_and(|ids| ids.contains(&json!(id)));
            said["id"] == id || is_named(&said["ids"]) || said["all"] == true
        };
        let of_it: Vec<&Value> = self.log.iter().filter(is_of_it).collect();
        let tags: Vec<&Value> =
            of_it.iter().filter(|said| said["id"].is_string()).map(|said| &said["id"]).collect();
        let told = self.log.iter().filter(|said| is_of_it(said) || tags.contains(&&said["id"]));
        told.map(|said| format!("\n{said}")).collect()
    }

    fn up(&mut self, numbered: &Value) {
        let seq = numbered["seq"].as_i64().unwrap();
        assert!(seq > self.at, "a step back from {} to {numbered}", self.at);
        self.at = seq;
    }

    fn born(&mut self, row: &Value) {
        let id = row["id"].as_i64().unwrap();
        assert!(self.entries.insert(id), "a double: {row}");
        self.rows.insert(id, (row["is_read"] == true, self.at));
    }

    fn mark(&mut self, id: i64, mark: Mark, seq: i64) {
        match mark {
            Mark::Delete => drop(self.rows.remove(&id)),
            Mark::Read | Mark::Unread => {
                if let Some(row) = self.rows.get_mut(&id) {
                    *row = (matches!(mark, Mark::Read), seq);
                }
            }
        }
    }
}

struct Device {
    socket: Socket,
    known: Known,
}

impl Device {
    async fn ask(&mut self, number: usize, whom: Whom, id: Option<i64>, mark: Mark) {
        let tag = number.to_string();
        let mut frame = json!({"type": name(mark), "id": tag});
        match id {
            Some(id) => frame["ids"] = json!([id]),
            None => frame["all"] = json!(true),
        }
        self.known.asked.insert(tag, (whom, id, mark));
        self.known.log.push(frame.clone());
        self.socket.say(frame.to_string()).await;
    }

    /// Takes in what is there, all answers among it.
    async fn look(&mut self) {
        self.socket.say(r#"{"type":"ping","timestamp":"looks"}"#).await;
        let mut is_pong_there = false;
        while !is_pong_there || !self.known.asked.is_empty() {
            let frame = self.socket.next().await;
            if frame["type"] == "pong" {
                is_pong_there = true;
            } else {
                self.known.take(&frame);
            }
        }
    }

    /// Takes in everything up to that notification.
    async fn look_until(&mut self, id: i64) {
        while !self.known.entries.contains(&id) {
            let frame = self.socket.next().await;
            self.known.take(&frame);
        }
    }
}

fn name(mark: Mark) -> &'static str {
    match mark {
        Mark::Read => "read",
        Mark::Unread => "unread",
        Mark::Delete => "delete",
    }
}

struct World {
    hub: Hub,
    ada: Person,
    carl: Person,
    devices: [Device; 3],
}

impl World {
    async fn new() -> Self {
        let hub = Hub::start_with(|config| config.ws.messages_per_s = 10_000).await;
        let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
        let known = Known::default;
        let devices = [
            Device { socket: Socket::v1(&hub, &ada, "").await.0, known: known() },
            Device { socket: Socket::v1(&hub, &ada, "").await.0, known: known() },
            Device {
                socket: Socket::established(&hub, &ada, "&dialect=academy").await,
                known: known(),
            },
        ];
        Self { hub, ada, carl, devices }
    }

    /// What is marked over REST; what is gone cannot be.
    async fn rest(&self, whom: Whom, id: Option<i64>, mark: Mark) {
        let all = "/api/notifications";
        let (method, path) = match (whom, id, mark) {
            (Whom::One(_), Some(id), Mark::Read) => {
                (Method::POST, format!("{all}/{id}/mark_as_read/"))
            }
            (Whom::One(_), Some(id), Mark::Unread) => {
                (Method::POST, format!("{all}/{id}/mark_as_unread/"))
            }
            (Whom::One(_), Some(id), Mark::Delete) => (Method::DELETE, format!("{all}/{id}/")),
            _ => (Method::POST, format!("{all}/mark_all_as_read/")),
        };
        let request = self.hub.request(method, &path).bearer_auth(&self.ada.token);
        let (status, body) = answer(request).await;
        assert!(matches!(status, 200 | 204 | 404), "{path}: {status} {body}");
    }

    /// Carries out some operations at once.
    async fn carry_out(&mut self, first: usize, operations: &[Operation]) {
        let born: Vec<i64> = self.devices[0].known.entries.iter().copied().collect();
        let mut others = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            let Operation::Marked(device, whom, mark) = operation else {
                others.push(None);
                continue;
            };
            let id = match whom {
                Whom::One(_) if born.is_empty() => continue,
                Whom::One(share) => Some(born[born.len() * share / 1_000]),
                Whom::All => None,
            };
            match device {
                0 | 1 => self.devices[*device].ask(first + number, *whom, id, *mark).await,
                _ => others.push(Some((*whom, id, *mark))),
            }
        }
        let world = &*self;
        join_all(others.into_iter().map(|other| async move {
            match other {
                Some((whom, id, mark)) => world.rest(whom, id, mark).await,
                None => drop(raise(&world.hub, &world.carl, "Another").await),
            }
        }))
        .await;
        for device in &mut self.devices {
            device.look().await;
        }
    }

    /// All requests are answered: the counts and the rows are the store's.
    async fn check(&mut self) {
        raise(&self.hub, &self.carl, "The last").await;
        let user = UserId(self.ada.id);
        let ChangedRows { head, rows, rest, .. } =
            self.hub.store().changes(user, Seq::ZERO, u32::MAX).await.unwrap();
        // Only the first rows have their texts.
        let first = rows.iter().map(|row| (row.entry.id.0, row.entry.is_read, row.is_deleted));
        let others = rest.iter().map(|row| (row.id.0, row.is_read, row.is_deleted));
        let stored: BTreeMap<i64, bool> = first
            .chain(others)
            .filter(|(_, _, is_deleted)| !is_deleted)
            .map(|(id, is_read, _)| (id, is_read))
            .collect();
        let last = *stored.keys().next_back().unwrap();
        for (n, device) in self.devices.iter_mut().enumerate() {
            device.look_until(last).await;
            assert_eq!(device.known.unread_count, head.unread_count, "device {n}");
        }
        for device in &self.devices[..2] {
            let rows = device.known.rows.iter();
            let has: BTreeMap<i64, bool> = rows.map(|(id, row)| (*id, row.0)).collect();
            let mut ids = has.keys().chain(stored.keys());
            if let Some(id) = ids.find(|id| has.get(id) != stored.get(id)) {
                let (here, there) = (has.get(id), stored.get(id));
                panic!("{id}: {here:?} here, {there:?} in the store: {}", device.known.story(*id));
            }
        }
        // In the same breath.
        let [one, two, three] = &mut self.devices;
        one.ask(OPERATIONS, Whom::One(0), Some(last), Mark::Read).await;
        one.look().await;
        let wanted = head.unread_count - 1;
        assert_eq!(one.known.unread_count, wanted);
        for (device, kind) in [(two, "inbox"), (three, "notification_updated")] {
            let frame = device.socket.next().await;
            assert_eq!((&frame["type"], &frame["unread_count"]), (&json!(kind), &json!(wanted)));
        }
        let (_, counts) = self.hub.get(&self.ada, "/api/notifications/unread_count/").await;
        assert_eq!(counts["unread_count"], wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A failure is a matter of time as much as of what was done: it does not get smaller.
        cases: 1, max_shrink_iters: 0, failure_persistence: None, ..Default::default()
    })]
    #[test]
    fn after_a_thousand_operations_on_three_devices_all_counts_are_the_stores(
        operations in prop::collection::vec(operation(), OPERATIONS),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for (n, some) in operations.chunks(TOGETHER).enumerate() {
                world.carry_out(n * TOGETHER, some).await;
            }
            world.check().await;
        });
    }
}
