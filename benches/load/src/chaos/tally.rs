//! All schedules of a command together: the numbers, the table and the JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::fault::FaultKind;
use super::finding::Wrong;
use super::outcome::{Checked, Outcome};
use super::plan::Plan;

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) schedules: u64,
    faults: u64,
    acknowledged: u64,
    /// Lost, doubled, out of order.
    pub(super) wrong: [u64; 3],
    checked: Checked,
    kinds: BTreeMap<FaultKind, Happened>,
    runs: Vec<Value>,
}

/// How often a kind of fault happened.
#[derive(Debug, Default, Clone, Copy)]
struct Happened {
    schedules: u64,
    times: u64,
}

impl Tally {
    /// Adds a schedule.
    pub(super) fn add(&mut self, plan: &Plan, outcome: &Outcome) {
        let found = [Wrong::Lost, Wrong::Doubled, Wrong::OutOfOrder]
            .map(|wrong| outcome.findings.count(wrong));
        self.schedules += 1;
        self.faults += outcome.fault_count();
        self.acknowledged += outcome.acknowledged;
        for (sum, found) in self.wrong.iter_mut().zip(found) {
            *sum += found;
        }
        self.checked.add(&outcome.checked);
        let mut kinds = Map::new();
        for (kind, count) in &outcome.faults {
            let happened = self.kinds.entry(*kind).or_default();
            happened.schedules += 1;
            happened.times += count;
            kinds.insert(kind.name().to_owned(), json!(count));
        }
        let mut run = json!({
            "seed": plan.seed, "nodes": plan.nodes, "kinds": kinds, "seconds": outcome.seconds,
            "acknowledged": outcome.acknowledged, "unanswered": outcome.unanswered,
            "findings": outcome.findings.texts, "surprises": outcome.surprises,
        });
        for (name, count) in outcome.checked.named() {
            run[name] = json!(count);
        }
        self.runs.push(run);
    }

    /// The report as one line of JSON.
    pub(super) fn json(&self, seed: u64) -> String {
        let Self { schedules, faults, acknowledged, wrong, runs, .. } = self;
        let [lost, doubled, out_of_order] = wrong;
        let checked: Map<String, Value> = self
            .checked
            .named()
            .map(|(name, count)| (name.to_owned(), json!(count)))
            .into_iter()
            .collect();
        let line = json!({
            "seed": seed, "schedules": schedules, "faults": faults,
            "acknowledged": acknowledged, "lost": lost, "doubled": doubled,
            "out_of_order": out_of_order, "checked": checked, "runs": runs,
        });
        line.to_string()
    }

    /// The table of faults, and what was checked.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{:<12}{:>10}{:>8}\n", "fault", "schedules", "times");
        for (kind, Happened { schedules, times }) in &self.kinds {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{:<12}{schedules:>10}{times:>8}", kind.name());
        }
        text.push_str("checked:");
        for (n, (name, count)) in self.checked.named().into_iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let _ = write!(text, "{comma} {count} {}", name.replace('_', " "));
        }
        text
    }

    /// The last line.
    pub(super) fn line(&self) -> String {
        let Self { schedules, faults, acknowledged, wrong: [lost, doubled, out_of_order], .. } =
            self;
        format!(
            "{schedules} schedules, {faults} faults, {acknowledged} acknowledged, {lost} lost, \
             {doubled} doubled, {out_of_order} out of order"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Wish;
    use super::*;

    #[test]
    fn schedules_are_summed_by_fault_and_by_what_was_checked() {
        let mut tally = Tally::default();
        let plan = Wish::default().plan(1).unwrap();
        for lost in [0, 1] {
            let mut outcome = Outcome { acknowledged: 10, ..Outcome::default() };
            outcome.faults = vec![(FaultKind::Kill, 2), (FaultKind::Cut, 1)];
            outcome.checked = Checked { frames: 7, ..Checked::default() };
            for _ in 0..lost {
                outcome.findings.add(Wrong::Lost, || "x".to_owned());
            }
            tally.add(&plan, &outcome);
        }
        let line = "2 schedules, 6 faults, 20 acknowledged, 1 lost, 0 doubled, 0 out of order";
        assert_eq!(tally.line(), line);
        let table = tally.table();
        assert!(table.contains("kill                 2       4\n"), "{table}");
        assert!(table.contains(" 14 frames"), "{table}");
        let json: Value = serde_json::from_str(&tally.json(9)).unwrap();
        assert_eq!((json["lost"].clone(), json["runs"][1]["frames"].clone()), (1.into(), 7.into()));
        assert_eq!(json["runs"][1]["kinds"], json!({"kill": 2, "cut": 1}));
    }
}
