//! A writer of tickets' lives.

use serde_json::{Value, json};

use super::ledger::{Asked, CommentRecord, Ledger, Step, TicketRecord};
use super::people::{Person, one};
use super::request::Request;
use super::writer::Writer;

/// How often a step is sent that meets a conflict.
const CONFLICTS_MAX: usize = 8;

/// A step of the workflow.
struct Move<'a> {
    action: &'static str,
    by: &'a Person,
    body: Value,
    /// The status that it leads to.
    status: &'static str,
    may_repeat: bool,
}

impl Writer {
    /// Plays one life after the other until the schedule is quiet.
    pub(super) async fn lives(mut self) -> Ledger {
        while self.goes_on() {
            let busy = self.shared.busy().await;
            self.life().await;
            drop(busy);
            self.think().await;
        }
        self.ledger
    }

    async fn life(&mut self) {
        let people = self.people.clone();
        let rng = &mut self.rng;
        let (Some(creator), Some(admin), Some(developer)) =
            (one(&people.clients, rng), one(&people.admins, rng), one(&people.developers, rng))
        else {
            return;
        };
        let ends_rejected = rng.u8(..4) == 0;
        let mut ticket = self.create(creator).await;
        if let Some(id) = ticket.id {
            self.comment(id, creator, &mut ticket).await;
            let step = |action, by, status| {
                let body = json!({});
                Move { action, by, body, status, may_repeat: false }
            };
            let assign = Move {
                body: json!({"developers": [developer.id]}),
                may_repeat: true,
                ..step("assign", admin, "ASSIGNED")
            };
            let last = match ends_rejected {
                true => step("reject", creator, "REJECTED"),
                false => step("approve", creator, "APPROVED"),
            };
            // A rejected ticket's developer may start again: so may a late repeat.
            let start =
                Move { may_repeat: ends_rejected, ..step("start_work", developer, "IN_PROGRESS") };
            let steps = [
                step("open", admin, "OPENED"),
                assign,
                start,
                step("finish_work", developer, "FINISHED"),
                last,
            ];
            for next in steps {
                self.think().await;
                if !self.step(id, next, &mut ticket).await {
                    break;
                }
                if self.rng.u8(..6) == 0 {
                    self.edit(id, creator, &mut ticket).await;
                }
            }
        }
        self.ledger.tickets.push(ticket);
    }

    /// A request without a key: it is sent once.
    async fn create(&mut self, creator: &Person) -> TicketRecord {
        let title = self.unique();
        let mut created = Asked::default();
        let body = json!({"title": title});
        let request = Request::post("/api/tickets/", &creator.token, &body);
        let answer = self.once(request, &mut created).await;
        let id = match answer {
            Some((201, ticket)) => ticket["id"].as_u64(),
            Some((status, body)) => {
                self.surprise("create", status, &body);
                None
            }
            None => None,
        };
        TicketRecord { title, created, id, ..TicketRecord::default() }
    }

    /// A request without a key: it is sent once. Every other one names an admin.
    async fn comment(&mut self, id: u64, by: &Person, ticket: &mut TicketRecord) {
        let people = self.people.clone();
        let named = one(&people.admins, &mut self.rng).filter(|_| self.rng.bool());
        let mut text = self.unique();
        if let Some(named) = named {
            text.push_str(&format!(" @{}", named.username));
        }
        let mut asked = Asked::default();
        let (path, body) = (format!("/api/tickets/{id}/comments/"), json!({"body": text}));
        match self.once(Request::post(&path, &by.token, &body), &mut asked).await {
            Some((201, _)) | None => {}
            Some((status, body)) => self.surprise("comment", status, &body),
        }
        let mentions = named.map(|named| named.id);
        ticket.comments.push(CommentRecord { body: text, mentions, asked });
    }

    /// A step, repeated until it is known to have been done; whether it was.
    async fn step(&mut self, id: u64, step: Move<'_>, ticket: &mut TicketRecord) -> bool {
        let Move { action, by, body, status: target, may_repeat } = step;
        let path = format!("/api/tickets/{id}/{action}/");
        let mut asked = Asked::default();
        for _ in 0..CONFLICTS_MAX {
            let request = Request::post(&path, &by.token, &body);
            match self.until_answered(request, &mut asked).await {
                Some((200, _)) | None => break,
                Some((409, _)) if asked.attempts > 0 => {
                    // An earlier attempt was executed, or is being executed.
                    let now = self.read(id, &by.token).await;
                    if now["status"] == target {
                        asked.acknowledge(self.shared.operations());
                        break;
                    }
                }
                // A late repeat of an earlier assignment may have moved it.
                Some((409, _)) if is_muddled(ticket) => break,
                Some((code, body)) => {
                    self.surprise(&format!("{action} of ticket {id}"), code, &body);
                    if code != 409 {
                        break;
                    }
                }
            }
            self.think().await;
        }
        ticket.steps.push(Step { action, asked, may_repeat });
        asked.is_acknowledged
    }

    /// An edit that names the version it was made of: repeats have no effect.
    async fn edit(&mut self, id: u64, by: &Person, ticket: &mut TicketRecord) {
        let seen = self.read(id, &by.token).await;
        let Some(version) = seen["version"].as_u64() else { return };
        let text = self.unique();
        let body = json!({"description": text, "version": version});
        let path = format!("/api/tickets/{id}/");
        let mut asked = Asked::default();
        let request = Request { method: "PATCH", ..Request::post(&path, &by.token, &body) };
        match self.until_answered(request, &mut asked).await {
            Some((200, _)) | None => {}
            Some((409, _)) if asked.attempts > 0 => {
                let now = self.read(id, &by.token).await;
                if now["description"] == text.as_str() {
                    asked.acknowledge(self.shared.operations());
                }
            }
            Some((409, _)) if is_muddled(ticket) => {}
            Some((status, body)) => {
                self.surprise(&format!("edit of ticket {id}"), status, &body);
            }
        }
        ticket.steps.push(Step { action: "edit", asked, may_repeat: false });
    }

    async fn read(&mut self, id: u64, token: &str) -> Value {
        let path = format!("/api/tickets/{id}/");
        let mut asked = Asked::default();
        let answer = self.until_answered(Request::get(&path, token), &mut asked).await;
        answer.map(|(_, body)| body).unwrap_or_default()
    }
}

/// Whether a request that fits a ticket's later statuses was sent more than once.
fn is_muddled(ticket: &TicketRecord) -> bool {
    ticket.steps.iter().any(|step| step.may_repeat && step.asked.attempts > 1)
}
