//! What is done to a server, and what is made of it: one file a workload.

mod connect;
mod fan_out;
mod gather;
mod idle;
mod lives;
mod mixed;
mod replay;
mod tickets;

use super::LoadError;
use super::check::Faults;
use super::clock::figure;
use super::crew::Crew;
use super::pipe::Setup;
use super::plan::{Plan, Workload};
use super::readings::cpu_us;
use super::target::Target;
use super::times::Times;
use super::tokens::{LISTENER, Roster};

/// What came of one run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The columns of the table.
    pub figures: Vec<Figure>,
    /// Latencies by name.
    pub times: Vec<(&'static str, Times)>,
    /// How figures went while it lasted.
    pub courses: Vec<Course>,
    /// What was wrong.
    pub faults: Faults,
}

/// A figure over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// What it is.
    pub title: &'static str,
    /// In what.
    pub unit: &'static str,
    /// When, in seconds from the beginning, and how much.
    pub points: Vec<(f64, f64)>,
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// For machines: with its unit, and it stays as it is.
    pub key: &'static str,
    /// For people.
    pub title: &'static str,
    /// What it is.
    pub value: f64,
    /// Digits after the point.
    pub digits: usize,
    /// Whether a ratio between servers says something.
    pub is_compared: bool,
}

impl Outcome {
    fn add(&mut self, key: &'static str, title: &'static str, value: f64, digits: usize) {
        self.figures.push(Figure { key, title, value, digits, is_compared: true });
    }

    /// A latency: the whole of it for machines, and two of its quantiles in the table.
    fn add_times(
        &mut self,
        name: &'static str,
        [p50, p99]: [(&'static str, &'static str); 2],
        times: Times,
    ) {
        self.add(p50.0, p50.1, times.ms(0.5), 2);
        self.add(p99.0, p99.1, times.ms(0.99), 2);
        self.times.push((name, times));
    }

    /// The CPU time that each of `count` took of the server and of the tool.
    fn add_cpu(
        &mut self,
        spent: Spent,
        [server, tool]: [(&'static str, &'static str); 2],
        count: u64,
    ) {
        let each = |us: u64| figure(us) / figure(count.max(1));
        if let Some(us) = spent.server_us {
            self.add(server.0, server.1, each(us), 1);
        }
        self.add(tool.0, tool.1, each(spent.tool_us), 1);
    }
}

/// Who takes part in a workload of this size.
#[must_use]
pub fn roster(workload: &Workload, users: usize) -> Roster {
    match workload {
        Workload::Idle | Workload::Connect => {
            Roster { groups: vec![(LISTENER, users)], has_sender: false }
        }
        Workload::FanOut(_) | Workload::Replay(_) => {
            Roster { groups: vec![(LISTENER, users)], has_sender: true }
        }
        Workload::Tickets(_) => Roster { groups: staff(users).to_vec(), has_sender: false },
        Workload::Mixed(mixed) => {
            let mut groups = staff(mixed.staff).to_vec();
            let staff: usize = groups.iter().map(|(_, count)| count).sum();
            groups.push((LISTENER, users.saturating_sub(staff)));
            Roster { groups, has_sender: true }
        }
    }
}

/// Those who have to do with tickets.
fn staff(count: usize) -> [(&'static str, usize); 3] {
    let [admins, developers, clients] = lives::staff(count);
    [("admin", admins), ("developer", developers), ("client", clients)]
}

/// Does it.
///
/// # Errors
/// What kept it from being done; what a server did wrong is in the outcome.
pub fn run(plan: &Plan, target: &Target) -> Result<Outcome, LoadError> {
    let are_frames_told = matches!(plan.workload, Workload::Tickets(_) | Workload::Mixed(_));
    if are_frames_told && !target.setup.has_positions {
        let why = "tickets are a hub's own: this workload is for hubs of ours";
        return Err(LoadError::Wrong(format!("--plain: {why}")));
    }
    let setup = Setup { are_frames_told, ..target.setup.clone() };
    let mut crew = Crew::start(&setup, plan.processes, plan.patience)?;
    match &plan.workload {
        Workload::Idle => idle::run(plan, target, &mut crew),
        Workload::Connect => connect::run(plan, target, &mut crew),
        Workload::FanOut(fan_out) => fan_out::run(plan, fan_out, target, &mut crew),
        Workload::Tickets(tickets) => tickets::run(plan, tickets, target, &mut crew),
        Workload::Replay(replay) => replay::run(plan, replay, target, &mut crew),
        Workload::Mixed(mixed) => mixed::run(plan, mixed, target, &mut crew),
    }
}

/// A stopwatch for CPU time.
#[derive(Debug)]
struct Cpu {
    server_us: Option<u64>,
    tool_us: u64,
}

/// What it showed, in µs.
#[derive(Debug, Clone, Copy)]
struct Spent {
    server_us: Option<u64>,
    tool_us: u64,
}

impl Cpu {
    fn start(target: &Target, crew: &Crew) -> Result<Self, LoadError> {
        let server_us = target.pid.map(cpu_us).transpose()?;
        Ok(Self { server_us, tool_us: crew.cpu_us()? })
    }

    fn stop(&self, target: &Target, crew: &Crew) -> Result<Spent, LoadError> {
        let now = Self::start(target, crew)?;
        let server = now.server_us.zip(self.server_us);
        Ok(Spent {
            server_us: server.map(|(now, before)| now.saturating_sub(before)),
            tool_us: now.tool_us.saturating_sub(self.tool_us),
        })
    }
}
