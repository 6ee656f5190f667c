//! Writers of notifications and of marks.

use serde_json::{Value, json};

use super::ledger::{Asked, Ledger, Mark, MarkRecord, SendRecord};
use super::people::{Person, one};
use super::request::Request;
use super::writer::Writer;

/// The most users that a message names.
const NAMED_MAX: usize = 6;
/// One of so many messages is long, and has this many characters: readers that are slow are then
/// behind soon.
const LONG: u8 = 6;
const LONG_CHARS: std::ops::Range<usize> = 1_000..10_000;
/// The rows that are marked in one go.
const MARKS: usize = 5;

impl Writer {
    /// Sends notifications until the schedule is quiet.
    pub(super) async fn sends(mut self) -> Ledger {
        let people = self.people.clone();
        while self.goes_on() {
            if let Some(admin) = one(&people.admins, &mut self.rng) {
                self.send(admin).await;
            }
            self.think().await;
        }
        self.ledger
    }

    /// A message to some users, to a role, or to all; repeated with its key until it is answered.
    async fn send(&mut self, by: &Person) {
        let title = self.unique();
        let people = self.people.clone();
        let ids = |of: &mut dyn Iterator<Item = &Person>| of.map(|one| one.id).collect();
        let (recipients, named): (Vec<u64>, Value) = match self.rng.u8(..20) {
            0 => {
                let checker = std::iter::once(&people.checker);
                (ids(&mut people.listeners().chain(checker)), json!("all"))
            }
            1 | 2 => (ids(&mut people.developers.iter()), json!({"role": "developer"})),
            _ => {
                let all: Vec<&Person> = people.listeners().collect();
                let count = self.rng.usize(1..=NAMED_MAX);
                let chosen = self.rng.choose_multiple(all, count);
                let chosen: Vec<u64> = ids(&mut chosen.into_iter());
                (chosen.clone(), json!(chosen))
            }
        };
        let mut asked = Asked::default();
        let chars = if self.rng.u8(..LONG) == 0 { self.rng.usize(LONG_CHARS) } else { 5 };
        let message = "chaos".chars().cycle().take(chars).collect::<String>();
        let body = json!({"recipients": named, "title": title, "message": message});
        let request = Request::post("/api/notifications/", &by.token, &body);
        let request = Request { key: Some(&title), ..request };
        match self.until_answered(request, &mut asked).await {
            Some((202, _)) | None => {}
            Some((status, body)) => self.surprise("send", status, &body),
        }
        let token = by.token.clone();
        self.ledger.sends.push(SendRecord { title, recipients, token, body, asked });
    }

    /// Marks a user's notifications as read, some of them as unread again, and deletes some, until
    /// the schedule is quiet.
    pub(super) async fn marks(mut self, user: Person) -> Ledger {
        while self.goes_on() {
            self.think().await;
            let _busy = self.shared.busy().await;
            let mut listed = Asked::default();
            let request = Request::get("/api/notifications/unread/", &user.token);
            let page = self.until_answered(request, &mut listed).await;
            let Some((200, page)) = page else { continue };
            let rows = page["results"].as_array().into_iter().flatten();
            let mut ids: Vec<u64> = rows.filter_map(|row| row["id"].as_u64()).collect();
            self.rng.shuffle(&mut ids);
            for id in ids.into_iter().take(MARKS) {
                if self.is_marked(user.id, id) {
                    continue;
                }
                let read = self.mark(&user, id, Mark::Read).await;
                // Were its request repeated, a late execution could follow the second mark.
                if read.attempts == 1 && read.is_acknowledged {
                    match self.rng.u8(..8) {
                        0 => drop(self.mark(&user, id, Mark::Deleted).await),
                        1 | 2 => drop(self.mark(&user, id, Mark::Unread).await),
                        _ => {}
                    }
                }
                self.think().await;
            }
        }
        self.ledger
    }

    fn is_marked(&self, user: u64, id: u64) -> bool {
        self.ledger.marks.iter().rev().any(|mark| mark.user == user && mark.id == id)
    }

    async fn mark(&mut self, user: &Person, id: u64, mark: Mark) -> Asked {
        let (method, step) = match mark {
            Mark::Read => ("POST", "mark_as_read/"),
            Mark::Unread => ("POST", "mark_as_unread/"),
            Mark::Deleted => ("DELETE", ""),
        };
        let path = format!("/api/notifications/{id}/{step}");
        let mut asked = Asked::default();
        let body = json!({});
        let request = Request { method, ..Request::post(&path, &user.token, &body) };
        match self.until_answered(request, &mut asked).await {
            Some((200 | 204, _)) | None => {}
            // An earlier attempt deleted it.
            Some((404, _)) if mark == Mark::Deleted && asked.attempts > 0 => {
                asked.acknowledge(self.shared.operations());
            }
            Some((status, body)) => self.surprise(&path, status, &body),
        }
        self.ledger.marks.push(MarkRecord { user: user.id, id, mark, asked });
        asked
    }
}
