//! The results: a table for reading, and JSON with stable keys.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::plan::{Plan, Server};
use super::run::{Results, Row};
use super::workload::{Figure, NodeShare, Outcome};

/// The version of the JSON: it changes when a key does.
const FORMAT: u32 = 1;

/// The table's rows, printed as they arrive.
#[derive(Debug, Default)]
pub struct Table {
    widths: Vec<usize>,
    server_width: usize,
}

impl Table {
    /// A table for these servers.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let names = plan.servers.iter().map(|server| server.name().chars().count());
        Self { widths: Vec::new(), server_width: names.max().unwrap_or(0).max("ratio".len()) }
    }

    /// A row, with the heading before the first one and whenever the columns change.
    pub fn row(&mut self, row: &Row) -> String {
        let figures = &row.outcome.figures;
        let mut text = String::new();
        if self.widths.len() != figures.len() {
            let wide = |figure: &Figure| figure.title.chars().count().max(8);
            self.widths = figures.iter().map(wide).collect();
            let titles = figures.iter().map(|figure| figure.title.to_owned());
            self.line(&mut text, "server", "run", titles);
        }
        let run = if row.run == 0 { "mid".to_owned() } else { row.run.to_string() };
        let cells = figures.iter().map(|figure| format!("{:.*}", figure.digits, figure.value));
        self.line(&mut text, &row.server, &run, cells);
        text.push_str(&nodes(row));
        text.push_str(&faults(row));
        text
    }

    /// Ratios of each server to the first (or to the bare loop), at each size.
    #[must_use]
    pub fn ratios(&self, plan: &Plan, results: &Results) -> String {
        let mut text = String::new();
        let reference = reference(plan).name();
        for &size in &plan.sizes {
            for server in plan.servers.iter().map(Server::name).filter(|name| *name != reference) {
                let Some(row) = results.row(&server, size) else { continue };
                let cells = row.outcome.figures.iter().map(|figure| {
                    let ratio = ratio(results, &reference, size, figure);
                    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
                });
                let _ = writeln!(text, "{server} ÷ {reference}, {size} users:");
                self.line(&mut text, "ratio", "", cells);
            }
        }
        text
    }

    fn line(&self, out: &mut String, server: &str, run: &str, cells: impl Iterator<Item = String>) {
        let _ = write!(out, "{server:<width$}  {run:>3}", width = self.server_width);
        for (cell, width) in cells.zip(&self.widths) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }
}

/// A cluster's nodes: a line each.
fn nodes(row: &Row) -> String {
    let mut text = String::new();
    let nodes = &row.outcome.nodes;
    let width = nodes.iter().map(|node| node.url.chars().count()).max().unwrap_or_default();
    for NodeShare { url, sockets, frames, cpu_us } in nodes {
        let _ = write!(text, "  {url:<width$}  {sockets:>7} sockets  {frames:>9} frames");
        if let Some(us) = cpu_us {
            let (s, ms) = (us / 1_000_000, us / 1_000 % 1_000);
            let _ = write!(text, "  {s:>5}.{ms:03} s CPU");
        }
        text.push('\n');
    }
    text
}

/// The faults of a run by name; empty without faults.
fn faults(row: &Row) -> String {
    let faults = &row.outcome.faults;
    if faults.is_clean() {
        return String::new();
    }
    let wrong = faults.counts().into_iter().filter(|(_, count)| *count > 0);
    let wrong: Vec<String> = wrong.map(|(name, count)| format!("{count} {name}")).collect();
    let mut text = format!("  WRONG: {}\n", wrong.join(", "));
    for (why, count) in &faults.reasons {
        let _ = writeln!(text, "    {count} × {why}");
    }
    text
}

/// The baseline of ratios.
fn reference(plan: &Plan) -> &Server {
    let bare = plan.servers.iter().find(|server| **server == Server::Bare);
    bare.unwrap_or(&plan.servers[0])
}

fn ratio(results: &Results, reference: &str, size: usize, figure: &Figure) -> Option<f64> {
    let other = results.figure(reference, size, figure.key).filter(|other| *other > 0.0)?;
    figure.is_compared.then_some(figure.value / other)
}

/// All results as JSON.
#[must_use]
pub fn json(measured: &[(Plan, Results)]) -> Value {
    let rows = measured.iter().flat_map(|(plan, results)| {
        results.rows.iter().map(|row| row_json(row, plan.read_wait.as_micros()))
    });
    let ratios = measured.iter().flat_map(|(plan, results)| ratios_json(plan, results));
    let plan = measured.first().map(|(plan, _)| plan);
    json!({
        "format": FORMAT,
        "bellpull": env!("CARGO_PKG_VERSION"),
        "workload": plan.map(|plan| plan.workload.name()),
        "processes": plan.map(|plan| plan.processes),
        "ok": measured.iter().all(|(_, results)| results.is_clean()),
        "rows": rows.collect::<Vec<_>>(),
        "ratios": ratios.collect::<Vec<_>>(),
    })
}

fn row_json(row: &Row, read_wait_us: u128) -> Value {
    let Outcome { figures, times, faults, nodes, courses: _ } = &row.outcome;
    let figures: Map<String, Value> =
        figures.iter().map(|figure| (figure.key.to_owned(), json!(figure.value))).collect();
    let times: Map<String, Value> =
        times.iter().map(|(name, times)| ((*name).to_owned(), times.json())).collect();
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|NodeShare { url, sockets, frames, cpu_us }| {
            json!({"url": url, "sockets": sockets, "frames": frames, "cpu_us": cpu_us})
        })
        .collect();
    json!({
        "server": row.server,
        "nodes": nodes,
        "size": row.size,
        "read_wait_us": u64::try_from(read_wait_us).unwrap_or(u64::MAX),
        "run": if row.run == 0 { json!("median") } else { json!(row.run) },
        "figures": figures,
        "latencies": times,
        "faults": faults,
    })
}

fn ratios_json(plan: &Plan, results: &Results) -> Vec<Value> {
    let reference = reference(plan).name();
    let mut all = Vec::new();
    for &size in &plan.sizes {
        for server in plan.servers.iter().map(Server::name).filter(|name| *name != reference) {
            let Some(row) = results.row(&server, size) else { continue };
            let ratios: Map<String, Value> = row
                .outcome
                .figures
                .iter()
                .filter_map(|figure| {
                    let ratio = ratio(results, &reference, size, figure)?;
                    Some((figure.key.to_owned(), json!(ratio)))
                })
                .collect();
            let read_wait_us = u64::try_from(plan.read_wait.as_micros()).unwrap_or(u64::MAX);
            all.push(json!({"server": server, "to": reference, "size": size,
                "read_wait_us": read_wait_us, "ratios": ratios}));
        }
    }
    all
}
