//! A whole run: each server at each size, repeated as requested.

use tokio::task::spawn_blocking;

use super::LoadError;
use super::plan::Plan;
use super::target::Target;
use super::workload::{self, Figure, Outcome};

/// All results.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// In the order of the measurements.
    pub rows: Vec<Row>,
}

/// One run at one size against one server.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub server: String,
    /// The number of users.
    pub size: usize,
    /// From 1; 0 for the medians of all.
    pub run: usize,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Results {
    /// Whether there were no faults.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| row.outcome.faults.is_clean())
    }

    /// The row that represents this server at this size: the medians, or the only run.
    #[must_use]
    pub fn row(&self, server: &str, size: usize) -> Option<&Row> {
        let mut rows = self.rows.iter().filter(|row| row.server == server && row.size == size);
        let first = rows.next();
        first.into_iter().chain(rows).find(|row| row.run == 0).or(first)
    }

    /// A figure of each run, without their median.
    #[must_use]
    pub fn of_runs(&self, server: &str, size: usize, key: &str) -> Vec<f64> {
        let runs = self.rows.iter().filter(|row| row.run > 0);
        let runs = runs.filter(|row| row.server == server && row.size == size);
        let figures = runs.flat_map(|row| &row.outcome.figures);
        figures.filter(|figure| figure.key == key).map(|figure| figure.value).collect()
    }

    /// A figure of that row.
    #[must_use]
    pub fn figure(&self, server: &str, size: usize, key: &str) -> Option<f64> {
        let figures = &self.row(server, size)?.outcome.figures;
        Some(figures.iter().find(|figure| figure.key == key)?.value)
    }
}

/// Runs a plan; calls `done` for each row.
///
/// # Errors
/// Why it could not be run. Faults of servers are in the results.
pub async fn run(plan: &Plan, mut done: impl FnMut(&Row)) -> Result<Results, LoadError> {
    let mut results = Results::default();
    for &size in &plan.sizes {
        // In turns, so that other load on the machine affects all servers alike.
        for run in 1..=plan.runs {
            for server in &plan.servers {
                let roster = workload::roster(&plan.workload, size);
                let target = server.open(plan, &roster).await?;
                let name = target.name.clone();
                let outcome = measure(plan.clone(), target).await?;
                let row = Row { server: name, size, run, outcome };
                done(&row);
                results.rows.push(row);
            }
        }
        if plan.runs > 1 {
            for server in &plan.servers {
                let row = middle(&results.rows, &server.name(), size);
                done(&row);
                results.rows.push(row);
            }
        }
    }
    Ok(results)
}

/// The workload blocks on sockets and pipes, so it has a thread of its own.
async fn measure(plan: Plan, target: Target) -> Result<Outcome, LoadError> {
    let measured = spawn_blocking(move || workload::run(&plan, &target)).await;
    measured.map_err(|error| LoadError::Failed(error.to_string()))?
}

/// The medians of each figure; latencies and faults of all runs together; the first run's curves
/// over time.
fn middle(rows: &[Row], server: &str, size: usize) -> Row {
    let runs: Vec<&Outcome> = rows
        .iter()
        .filter(|row| row.server == server && row.size == size && row.run > 0)
        .map(|row| &row.outcome)
        .collect();
    let first = runs.first();
    let courses = first.map(|first| first.courses.clone()).unwrap_or_default();
    let mut all = Outcome { courses, ..Outcome::default() };
    for outcome in &runs {
        all.faults.add(&outcome.faults);
        for (name, times) in &outcome.times {
            match all.times.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.add(times),
                None => all.times.push((name, times.clone())),
            }
        }
    }
    for figure in runs.first().map(|first| first.figures.as_slice()).unwrap_or_default() {
        let of = |outcome: &&Outcome| {
            outcome.figures.iter().find(|one| one.key == figure.key).map(|one| one.value)
        };
        let mut values: Vec<f64> = runs.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        all.figures.push(Figure { value: values[values.len() / 2], ..*figure });
    }
    Row { server: server.to_owned(), size, run: 0, outcome: all }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: usize, value: f64, gaps: u64) -> Row {
        let figure = Figure { key: "k", title: "t", value, digits: 0, is_compared: true };
        let mut outcome = Outcome { figures: vec![figure], ..Outcome::default() };
        outcome.faults.gaps = gaps;
        Row { server: "s".into(), size: 5, run, outcome }
    }

    #[test]
    fn the_middle_of_three_speaks_for_them_and_no_fault_is_lost() {
        let mut results = Results { rows: vec![row(1, 9.0, 0), row(2, 1.0, 2), row(3, 4.0, 0)] };
        assert_eq!(results.figure("s", 5, "k"), Some(9.0));
        results.rows.push(middle(&results.rows, "s", 5));
        assert_eq!(results.figure("s", 5, "k"), Some(4.0));
        assert_eq!(results.row("s", 5).unwrap().outcome.faults.gaps, 2);
        assert_eq!(results.of_runs("s", 5, "k"), [9.0, 1.0, 4.0]);
        assert_eq!(results.figure("s", 6, "k"), None);
        assert!(!results.is_clean());
    }
}
