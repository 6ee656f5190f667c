//! The picture of a run: its results in a few panels.
//!
//! With several sizes each panel shows a figure over the number of users. With a single size the
//! panels show the distribution of latencies, and figures over the time of the run.

mod draw;
mod panel;

use std::path::Path;

use super::LoadError;
use super::clock::figure;
use super::plan::{Plan, Server};
use super::run::{Results, Row};
use panel::{Curve, Panel, X};

/// A figure that is drawn over the number of users, if a workload has it.
struct Drawn {
    key: &'static str,
    title: &'static str,
    unit: &'static str,
}

const DRAWN: [Drawn; 10] = [
    drawn("rss_kib_per_user", "Memory of an idle user", "KiB resident a user"),
    drawn("users_per_s", "Users who were let in", "users/s"),
    drawn("ready_p99_ms", "Until the first frame (p99)", "ms"),
    drawn("frames_per_s", "Frames that arrived", "frames/s"),
    drawn("frame_p99_ms", "Until the frame is there (p99)", "ms"),
    drawn("burst_frames_per_s", "Frames that arrived, in bursts", "frames/s"),
    drawn("burst_p99_ms", "Until the frame is there, in bursts (p99)", "ms"),
    drawn("transitions_per_s", "Transitions of tickets", "transitions/s"),
    drawn("replayed_per_s", "Notifications of backlogs", "notifications/s"),
    drawn("caught_up_p99_ms", "Until the backlog is there (p99)", "ms"),
];

const fn drawn(key: &'static str, title: &'static str, unit: &'static str) -> Drawn {
    Drawn { key, title, unit }
}

/// The names of latencies in a picture; those without a name are not drawn.
const LATENCIES: [(&str, &str); 7] = [
    ("handshake", "Until the upgrade"),
    ("ready", "Until the first frame"),
    ("frame", "Until the frame is there"),
    ("burst_frame", "Until the frame is there, in bursts"),
    ("answer", "Until the answer is there"),
    ("caught_up", "Until the backlog is there"),
    ("return", "Until a returning user is connected"),
];

/// The number of quantiles at which latencies are drawn.
const QUANTILES: u32 = 60;

/// Writes the picture.
///
/// # Errors
/// The file cannot be written.
pub fn write(plan: &Plan, results: &Results, file: &Path) -> Result<(), LoadError> {
    let picture = draw::Picture {
        title: format!("bellpull load {}", plan.workload.name()),
        subtitle: subtitle(plan),
        servers: plan
            .servers
            .iter()
            .map(|server| (server.name(), *server == Server::Bare))
            .collect(),
        panels: panels(plan, results),
    };
    let text = picture.svg().map_err(|error| LoadError::Failed(format!("--plot: {error}")))?;
    std::fs::write(file, text)
        .map_err(|error| LoadError::Failed(format!("--plot: {}: {error}", file.display())))
}

/// The number of users, and of repetitions.
fn subtitle(plan: &Plan) -> String {
    let users: Vec<String> = plan.sizes.iter().map(|size| panel::grouped(whole(*size))).collect();
    let runs = match plan.runs {
        1 => String::new(),
        runs if plan.sizes.len() > 1 => {
            format!("; medians of {runs} runs, upright lines from the least to the most")
        }
        runs => format!("; {runs} runs together"),
    };
    format!("{} users{runs}", users.join(", "))
}

fn panels(plan: &Plan, results: &Results) -> Vec<Panel> {
    if plan.sizes.len() > 1 {
        return DRAWN.iter().filter_map(|drawn| over_users(plan, results, drawn)).collect();
    }
    let rows: Vec<Option<&Row>> = plan
        .servers
        .iter()
        .map(|server| results.row(&server.name(), plan.sizes.first().copied().unwrap_or(0)))
        .collect();
    let latencies = LATENCIES.iter().filter_map(|(name, title)| latency(&rows, name, title));
    latencies.chain(courses(&rows)).collect()
}

/// A figure of each server at each size.
fn over_users(plan: &Plan, results: &Results, drawn: &Drawn) -> Option<Panel> {
    let curve = |server: &Server| {
        let name = server.name();
        let mut curve = Curve::default();
        for &size in &plan.sizes {
            let users = whole(size);
            let Some(value) = results.figure(&name, size, drawn.key) else { continue };
            curve.points.push((users, value));
            let of_runs = results.of_runs(&name, size, drawn.key);
            let least = of_runs.iter().copied().fold(f64::INFINITY, f64::min);
            let most = of_runs.iter().copied().fold(0.0, f64::max);
            if least < most {
                curve.spans.push((users, least, most));
            }
        }
        curve
    };
    let curves: Vec<Curve> = plan.servers.iter().map(curve).collect();
    let users = X::Users(plan.sizes.iter().copied().map(whole).collect());
    Panel::new(drawn.title, drawn.unit, users, curves)
}

/// The distribution of latencies.
fn latency(rows: &[Option<&Row>], name: &str, title: &'static str) -> Option<Panel> {
    let curve = |row: &Option<&Row>| {
        let of_name = |(known, _): &&(&str, _)| *known == name;
        let times = row.and_then(|row| row.outcome.times.iter().find(of_name));
        let Some((_, times)) = times.filter(|(_, times)| times.count() > 1) else {
            return Curve::default();
        };
        let nines = figure(times.count()).log10();
        let points = (0..=QUANTILES).map(|n| {
            let nines = nines * f64::from(n) / f64::from(QUANTILES);
            (nines, times.ms(1.0 - 10_f64.powf(-nines)))
        });
        Curve { points: points.collect(), spans: Vec::new() }
    };
    Panel::new(title, "ms", X::Part, rows.iter().map(curve).collect())
}

/// Figures over time.
fn courses(rows: &[Option<&Row>]) -> Vec<Panel> {
    let first = rows.iter().flatten().map(|row| row.outcome.courses.as_slice()).next();
    let panel = |course: &super::workload::Course| {
        let curve = |row: &Option<&Row>| {
            let courses = row.map(|row| row.outcome.courses.as_slice()).unwrap_or_default();
            let same = courses.iter().find(|other| other.title == course.title);
            let points = same.map(|course| course.points.clone()).unwrap_or_default();
            Curve { points, spans: Vec::new() }
        };
        Panel::new(course.title, course.unit, X::Seconds, rows.iter().map(curve).collect())
    };
    first.unwrap_or_default().iter().filter_map(panel).collect()
}

fn whole(size: usize) -> f64 {
    figure(u64::try_from(size).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Course, Figure, Outcome};

    fn row(server: &str, size: usize, run: usize, value: f64) -> Row {
        let figure =
            Figure { key: "frames_per_s", title: "t", value, digits: 0, is_compared: true };
        let mut outcome = Outcome { figures: vec![figure], ..Outcome::default() };
        let mut times = crate::times::Times::default();
        (1..=1000).for_each(|ms| times.record(ms * 1_000_000));
        outcome.times.push(("frame", times));
        let points = vec![(0.0, 3.0), (9.0, 4.0)];
        outcome.courses.push(Course { title: "Memory", unit: "MiB", points });
        Row { server: server.to_owned(), size, run, outcome }
    }

    fn plan(sizes: Vec<usize>) -> Plan {
        Plan {
            workload: crate::plan::Workload::Idle,
            servers: vec![Server::Spawned(None), Server::Bare],
            sizes,
            runs: 2,
            login: crate::tokens::Login::Anonymous,
            pace: crate::pipe::Pace::Closed(1),
            processes: 1,
            sources: Vec::new(),
            read_wait: std::time::Duration::ZERO,
            patience: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn several_sizes_make_a_curve_over_users_with_what_the_runs_differed_by() {
        let mut rows = Vec::new();
        for (server, factor) in [("bellpull", 1.0), ("bare loop", 4.0)] {
            for size in [1_000, 10_000] {
                let values = [(1, 8.0), (2, 9.0), (0, 8.0)];
                rows.extend(values.map(|(run, value)| row(server, size, run, factor * value)));
            }
        }
        let panels = panels(&plan(vec![1_000, 10_000]), &Results { rows });
        let titles: Vec<&str> = panels.iter().map(|panel| panel.title).collect();
        assert_eq!(titles, ["Frames that arrived"]);
        let [hub, bare] = panels[0].curves.as_slice() else { panic!("two servers") };
        assert_eq!(hub.points, [(1_000.0, 8.0), (10_000.0, 8.0)]);
        assert_eq!(hub.spans[1], (10_000.0, 8.0, 9.0));
        assert_eq!(bare.points[1], (10_000.0, 32.0));
    }

    #[test]
    fn one_size_makes_latencies_over_their_parts_and_courses_over_time() {
        let results = Results { rows: vec![row("bellpull", 40, 1, 1.0)] };
        let panels = panels(&plan(vec![40]), &results);
        let titles: Vec<&str> = panels.iter().map(|panel| panel.title).collect();
        assert_eq!(titles, ["Until the frame is there", "Memory"]);
        let points = &panels[0].curves[0].points;
        assert_eq!(points.len(), 61);
        let (nines, ms) = points[20]; // a third of the way to 99.9 %
        assert!((nines - 1.0).abs() < 1e-9 && (ms - 900.0).abs() < 2.0, "{nines} {ms}");
        assert!(panels[0].curves[1].points.is_empty(), "the bare loop was not run");
        assert_eq!(panels[1].curves[0].points, [(0.0, 3.0), (9.0, 4.0)]);
    }
}
