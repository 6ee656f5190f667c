//! The workloads and their results: one file each.

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
use super::clock::{figure, ns};
use super::pipe::{Setup, Share};
use super::plan::{Plan, Workload};
use super::readings::cpu_us;
use super::target::Target;
use super::times::Times;
use super::tokens::{LISTENER, Roster};
use super::workers::Workers;

/// The result of one run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The columns of the table.
    pub figures: Vec<Figure>,
    /// Latencies by name.
    pub times: Vec<(&'static str, Times)>,
    /// Figures over time.
    pub courses: Vec<Course>,
    /// The share of each node of a cluster; empty for a single server.
    pub nodes: Vec<NodeShare>,
    /// The faults.
    pub faults: Faults,
}

/// A node's share of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShare {
    /// Its address.
    pub url: String,
    /// Its open sockets at the end.
    pub sockets: u64,
    /// Frames that these received.
    pub frames: u64,
    /// Its CPU time, in µs, if its process is known.
    pub cpu_us: Option<u64>,
}

/// A figure over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Its name.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// When, in seconds since the start, and its value.
    pub points: Vec<(f64, f64)>,
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its JSON key: with its unit, and stable.
    pub key: &'static str,
    /// Its column in the table.
    pub title: &'static str,
    /// Its name.
    pub value: f64,
    /// Digits after the decimal point.
    pub digits: usize,
    /// Whether a ratio between servers is meaningful.
    pub is_compared: bool,
}

impl Outcome {
    fn add(&mut self, key: &'static str, title: &'static str, value: f64, digits: usize) {
        self.figures.push(Figure { key, title, value, digits, is_compared: true });
    }

    /// A latency: all of it in JSON, and two of its quantiles in the table.
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

    /// The CPU time per unit of the server and of the tool, for `count` units.
    fn add_cpu(
        &mut self,
        spent: &Spent,
        [server, tool]: [(&'static str, &'static str); 2],
        count: u64,
    ) {
        let each = |us: u64| figure(us) / figure(count.max(1));
        if !spent.nodes_us.is_empty() {
            self.add(server.0, server.1, each(spent.nodes_us.iter().sum()), 1);
        }
        self.add(tool.0, tool.1, each(spent.tool_us), 1);
    }

    /// The shares of a cluster's nodes.
    fn add_nodes(&mut self, target: &Target, shares: &[Share], spent: &Spent) {
        if target.places.len() < 2 {
            return;
        }
        let shares = target.places.iter().zip(shares).enumerate();
        self.nodes = shares
            .map(|(nth, (place, share))| NodeShare {
                url: place.url.clone(),
                sockets: share.open,
                frames: share.received,
                cpu_us: spent.nodes_us.get(nth).copied(),
            })
            .collect();
    }
}

/// The users of a workload of this size.
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

/// Users with tickets.
fn staff(count: usize) -> [(&'static str, usize); 3] {
    let [admins, developers, clients] = lives::staff(count);
    [("admin", admins), ("developer", developers), ("client", clients)]
}

/// Runs it.
///
/// # Errors
/// Why it could not be run; a server's faults are in the result.
pub fn run(plan: &Plan, target: &Target) -> Result<Outcome, LoadError> {
    let are_frames_reported = matches!(plan.workload, Workload::Tickets(_) | Workload::Mixed(_));
    if are_frames_reported && !target.setup.has_positions {
        let why = "tickets are a hub's own: this workload is for hubs of ours";
        return Err(LoadError::Wrong(format!("--plain: {why}")));
    }
    let read_wait_ns = ns(plan.read_wait);
    let setup = Setup { are_frames_reported, read_wait_ns, ..target.setup.clone() };
    let mut workers = Workers::start(&setup, plan.processes, plan.patience)?;
    match &plan.workload {
        Workload::Idle => idle::run(plan, target, &mut workers),
        Workload::Connect => connect::run(plan, target, &mut workers),
        Workload::FanOut(fan_out) => fan_out::run(plan, fan_out, target, &mut workers),
        Workload::Tickets(tickets) => tickets::run(plan, tickets, target, &mut workers),
        Workload::Replay(replay) => replay::run(plan, replay, target, &mut workers),
        Workload::Mixed(mixed) => mixed::run(plan, mixed, target, &mut workers),
    }
}

/// A stopwatch for CPU time.
#[derive(Debug)]
struct Cpu {
    begun: Spent,
}

/// CPU time, in µs.
#[derive(Debug, Clone)]
struct Spent {
    /// Of each node whose process is known.
    nodes_us: Vec<u64>,
    tool_us: u64,
}

impl Cpu {
    fn start(target: &Target, workers: &Workers) -> Result<Self, LoadError> {
        Ok(Self { begun: Spent::until_now(target, workers)? })
    }

    fn stop(&self, target: &Target, workers: &Workers) -> Result<Spent, LoadError> {
        let now = Spent::until_now(target, workers)?;
        let nodes = now.nodes_us.iter().zip(&self.begun.nodes_us);
        Ok(Spent {
            nodes_us: nodes.map(|(now, before)| now.saturating_sub(*before)).collect(),
            tool_us: now.tool_us.saturating_sub(self.begun.tool_us),
        })
    }
}

impl Spent {
    fn until_now(target: &Target, workers: &Workers) -> Result<Self, LoadError> {
        let nodes_us = target.pids.iter().map(|pid| cpu_us(*pid)).collect::<Result<_, _>>()?;
        Ok(Self { nodes_us, tool_us: workers.cpu_us()? })
    }
}
