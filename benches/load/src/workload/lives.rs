//! Ticket life cycles over REST: which user requests what, when it was due, and which frames are
//! expected.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::LoadError;
use crate::check::Faults;
use crate::clock::now_ns;
use crate::mark::Mark;
use crate::pipe::{LoadUser, ReportedFrame};
use crate::rest::{Answer, Rest};
use crate::times::Times;

/// The transitions of a life cycle: each event and its request.
const STEPS: [(&str, &str); 6] = [
    ("ticket_created", ""),
    ("ticket_opened", "open"),
    ("ticket_assigned", "assign"),
    ("work_started", "start_work"),
    ("work_finished", "finish_work"),
    ("ticket_approved", "approve"),
];

/// The shares of listeners by role: a quarter, and half of the rest.
const ADMINS_PART: usize = 4;

/// How many of these are admins, developers and clients: at least one each.
pub(super) fn staff(count: usize) -> [usize; 3] {
    let admins = (count / ADMINS_PART).max(1);
    let developers = (count.saturating_sub(admins) / 2).max(1);
    [admins, developers, count.saturating_sub(admins + developers).max(1)]
}

/// The acting users by role.
#[derive(Debug)]
pub(super) struct Staff<'a> {
    admins: &'a [LoadUser],
    developers: &'a [LoadUser],
    clients: &'a [LoadUser],
}

/// A ticket and its next transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    n: u64,
    step: usize,
    ticket: String,
}

/// All tickets of a run, shared by the requesters and the counter of frames.
#[derive(Debug)]
pub(super) struct Lives<'a> {
    staff: Staff<'a>,
    run: u32,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Tickets whose next transition may be requested.
    ready: VecDeque<Life>,
    begun: u64,
    /// Requests that are not yet received by all: when each was due, and by how many it is still
    /// expected.
    open: HashMap<(u64, usize), (u64, u64)>,
    expected: u64,
    steps: u64,
    faults: Faults,
    /// From the time when each was due until its response.
    answers: Times,
}

/// The result of all tickets.
#[derive(Debug, Default)]
pub(super) struct Lived {
    pub(super) steps: u64,
    pub(super) faults: Faults,
    pub(super) answers: Times,
}

impl<'a> Lives<'a> {
    /// Among these users: this many admins, developers and clients come first.
    pub(super) fn new(
        participants: &'a [LoadUser],
        count: usize,
        run: u32,
    ) -> Result<Self, LoadError> {
        let [admins, developers, clients] = staff(count);
        if participants.len() < admins + developers + clients {
            return Err(LoadError::wrong("--users: a life needs an admin, a developer, a client"));
        }
        let (admins, rest) = participants.split_at(admins);
        let (developers, rest) = rest.split_at(developers);
        let staff = Staff { admins, developers, clients: &rest[..clients] };
        Ok(Self { staff, run, ledger: Mutex::default() })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new ticket.
    pub(super) fn begin(&self) -> Life {
        let mut ledger = self.ledger();
        ledger.begun += 1;
        Life { n: ledger.begun - 1, step: 0, ticket: String::new() }
    }

    /// One that waits for its next transition, or a new one.
    pub(super) fn next(&self) -> Life {
        let ready = self.ledger().ready.pop_front();
        ready.unwrap_or_else(|| self.begin())
    }

    /// Returns one that has another transition.
    pub(super) fn put_back(&self, life: Life) {
        self.ledger().ready.push_back(life);
    }

    /// Requests a ticket's next transition, which was due at `due_ns`; returns the ticket if it has
    /// another one and this one succeeded.
    pub(super) fn step(
        &self,
        rest: &mut Rest,
        life: Life,
        due_ns: u64,
    ) -> Result<Option<Life>, LoadError> {
        let step = life.step;
        let expected = self.expected(step);
        self.ledger().open.insert((life.n, step), (due_ns, expected));
        let (path, headers, body) = self.request(&life);
        let answer = rest.ask("POST", &path, &headers, &body)?;
        let at_ns = now_ns();
        let mut ledger = self.ledger();
        ledger.answers.record(at_ns.saturating_sub(due_ns));
        ledger.steps += 1;
        if !answer.is_success() {
            // A rejected request has no frames.
            ledger.open.remove(&(life.n, step));
            ledger.faults.failed_requests += 1;
            ledger.faults.reason(&format!("{path}: {}", answer.text()));
            return Ok(None);
        }
        ledger.expected += expected;
        drop(ledger);
        let ticket = if step == 0 { id(&answer)? } else { life.ticket };
        let next = Life { n: life.n, step: step + 1, ticket };
        Ok((next.step < STEPS.len()).then_some(next))
    }

    /// How many users receive an event: all admins a creation; the creator when it is opened and
    /// begun; the developer when it is assigned; the admins and one more the others.
    fn expected(&self, step: usize) -> u64 {
        let admins = u64::try_from(self.staff.admins.len()).unwrap_or_default();
        match step {
            0 => admins,
            1..=3 => 1,
            _ => admins + 1,
        }
    }

    fn request(&self, life: &Life) -> (String, Vec<String>, String) {
        let of = |participants: &'a [LoadUser]| {
            let count = u64::try_from(participants.len()).unwrap_or(1).max(1);
            &participants[usize::try_from(life.n % count).unwrap_or_default()]
        };
        let Staff { admins, developers, clients } = self.staff;
        let who = match life.step {
            0 | 5 => of(clients),
            1 | 2 => of(admins),
            _ => of(developers),
        };
        let body = match life.step {
            0 => {
                let title = Mark { run: self.run, n: life.n, sent_ns: 0 }.text();
                format!(r#"{{"title":"{title}","priority":"HIGH","category":"BUG"}}"#)
            }
            2 => format!(r#"{{"developers":[{}]}}"#, of(developers).id),
            _ => "{}".to_owned(),
        };
        let path = match life.step {
            0 => "/api/tickets/".to_owned(),
            step => format!("/api/tickets/{}/{}/", life.ticket, STEPS[step].1),
        };
        let headers = vec![
            format!("Authorization: Bearer {}", who.token),
            "Content-Type: application/json".to_owned(),
        ];
        (path, headers, body)
    }

    /// Handles a frame; returns its latency. `None`: it was not expected.
    pub(super) fn reported(&self, reported: &ReportedFrame) -> Option<u64> {
        let step = STEPS.iter().position(|(event, _)| *event == reported.event);
        let mut ledger = self.ledger();
        let Some((key, asked)) = step
            .map(|step| (reported.n, step))
            .and_then(|key| Some((key, ledger.open.get_mut(&key)?)))
        else {
            ledger.faults.doubles += 1;
            return None;
        };
        asked.1 -= 1;
        let (asked_ns, left) = *asked;
        if left == 0 {
            ledger.open.remove(&key);
        }
        Some(reported.at_ns.saturating_sub(asked_ns))
    }

    /// The result of all tickets.
    pub(super) fn lived(&self) -> Lived {
        let mut ledger = self.ledger();
        Lived {
            steps: ledger.steps,
            faults: std::mem::take(&mut ledger.faults),
            answers: std::mem::take(&mut ledger.answers),
        }
    }

    /// Expected frames of all answered requests.
    pub(super) fn expected_so_far(&self) -> u64 {
        self.ledger().expected
    }

    /// Frames that are still expected.
    pub(super) fn missing(&self) -> u64 {
        self.ledger().open.values().map(|(_, left)| left).sum()
    }
}

/// The id of a ticket that was created.
fn id(answer: &Answer) -> Result<String, LoadError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body.get("id") {
        Some(Value::Number(id)) => Ok(id.to_string()),
        Some(_) | None => Err(LoadError::Failed(format!("a ticket without an id: {body}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participants(count: usize) -> Vec<LoadUser> {
        (1..=count).map(|id| LoadUser { id: id.to_string(), token: format!("t{id}") }).collect()
    }

    #[test]
    fn forty_are_ten_admins_fifteen_developers_and_fifteen_clients() {
        assert_eq!(staff(40), [10, 15, 15]);
        assert_eq!(staff(3), [1, 1, 1]);
        let few = participants(2);
        assert!(Lives::new(&few, 2, 1).is_err());
    }

    #[test]
    fn a_life_is_asked_for_by_those_who_may() {
        let participants = participants(40);
        let lives = Lives::new(&participants, 40, 7).unwrap();
        let mut life = lives.next();
        life.ticket = "5".into();
        let mut asked = Vec::new();
        for step in 0..STEPS.len() {
            life.step = step;
            let (path, headers, _) = lives.request(&life);
            asked.push(format!("{path} {}", headers[0].rsplit(' ').next().unwrap()));
        }
        let wanted = [
            "/api/tickets/ t26",
            "/api/tickets/5/open/ t1",
            "/api/tickets/5/assign/ t1",
            "/api/tickets/5/start_work/ t11",
            "/api/tickets/5/finish_work/ t11",
            "/api/tickets/5/approve/ t26",
        ];
        assert_eq!(asked, wanted);
        assert_eq!((0..6).map(|step| lives.expected(step)).sum::<u64>(), 35);
    }

    #[test]
    fn frames_are_dated_from_the_request_and_counted_once() {
        let participants = participants(4);
        let lives = Lives::new(&participants, 4, 7).unwrap();
        lives.ledger().open.insert((3, 1), (1_000, 1));
        let reported = ReportedFrame { n: 3, event: "ticket_opened".into(), at_ns: 5_000 };
        assert_eq!((lives.missing(), lives.reported(&reported)), (1, Some(4_000)));
        assert_eq!((lives.missing(), lives.reported(&reported)), (0, None));
        let unknown = ReportedFrame { n: 3, event: "ticket_lost".into(), at_ns: 5_000 };
        assert_eq!(lives.reported(&unknown), None);
        assert_eq!(lives.lived().faults.doubles, 2);
    }
}
