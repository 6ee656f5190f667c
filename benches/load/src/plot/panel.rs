//! A panel: curves of the servers, and its axes' ticks.

/// A figure over a variable.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) x: X,
    /// One per server, in their order; empty if a server has none.
    pub(super) curves: Vec<Curve>,
}

/// The variable.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum X {
    /// These numbers of users; distances are proportional to their ratios.
    Users(Vec<f64>),
    /// Quantiles by their nines: 1 is 90 %, 2 is 99 %.
    Part,
    /// Seconds since the start.
    Seconds,
}

/// A server's points.
#[derive(Debug, Default)]
pub(super) struct Curve {
    pub(super) points: Vec<(f64, f64)>,
    /// The minimum and maximum of several runs, at a point.
    pub(super) spans: Vec<(f64, f64, f64)>,
}

/// An axis: its range and its ticks.
#[derive(Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) marks: Vec<f64>,
}

impl Panel {
    /// `None` if no server has a point.
    pub(super) fn new(
        title: &'static str,
        unit: &'static str,
        x: X,
        curves: Vec<Curve>,
    ) -> Option<Self> {
        let has_points = curves.iter().any(|curve| !curve.points.is_empty());
        has_points.then_some(Self { title, unit, x, curves })
    }

    /// From zero to a little above the maximum.
    pub(super) fn upright(&self) -> Axis {
        let points = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        let spans = self.curves.iter().flat_map(|curve| &curve.spans).map(|span| span.2);
        let top = points.chain(spans).fold(f64::MIN_POSITIVE, f64::max);
        Axis { from: 0.0, to: top * 1.15, marks: marks(top * 1.15) }
    }

    /// In the units of [`X::place`].
    pub(super) fn level(&self) -> Axis {
        let points = || self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        let right = points().fold(0.0, f64::max);
        match &self.x {
            X::Users(sizes) => {
                let places = || sizes.iter().map(|size| self.x.place(*size));
                let (from, to) = (
                    places().fold(f64::INFINITY, f64::min),
                    places().fold(f64::NEG_INFINITY, f64::max),
                );
                let beside = (to - from).max(1.0) * 0.08;
                Axis { from: from - beside, to: to + beside, marks: places().collect() }
            }
            X::Part => {
                // 50 %, then each nine.
                let nines = (1..=9).map(f64::from).take_while(|nines| *nines <= right);
                let half = 2_f64.log10();
                Axis { from: 0.0, to: right, marks: std::iter::once(half).chain(nines).collect() }
            }
            X::Seconds => Axis { from: 0.0, to: right.max(1.0), marks: marks(right.max(1.0)) },
        }
    }
}

impl X {
    /// The position of a value on the axis.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self {
            Self::Users(_) => value.max(1.0).ln(),
            Self::Part | Self::Seconds => value,
        }
    }

    /// The label of a tick.
    pub(super) fn label(&self, place: f64) -> String {
        match self {
            Self::Users(_) => grouped(place.exp()),
            Self::Part => {
                let percent = 100.0 - 10_f64.powf(2.0 - place);
                format!("{}%", format!("{percent:.7}").trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Seconds => grouped(place),
        }
    }

    /// The label of the axis.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Users(_) => "users",
            Self::Part => "of all had come",
            Self::Seconds => "seconds",
        }
    }
}

/// Four to nine round values from 0 up to this one.
fn marks(to: f64) -> Vec<f64> {
    let rough = to / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let marks = (0_u32..).map(|n| f64::from(n) * step);
    marks.take_while(|mark| *mark <= to).collect()
}

/// A formatted value: three digits of a small one, groups of three of a large one.
pub(super) fn grouped(value: f64) -> String {
    if value > 0.0 && value < 10.0 && (value - value.round()).abs() > 1e-9 {
        return format!("{value:.2}").trim_end_matches('0').to_owned();
    }
    if value < 100.0 && (value - value.round()).abs() > 1e-9 {
        return format!("{value:.1}").trim_end_matches(".0").to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_labels_short() {
        assert_eq!(marks(11.0), [0.0, 2.5, 5.0, 7.5, 10.0]);
        assert_eq!(marks(190_000.0).len(), 4);
        assert_eq!(marks(0.9), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8]);
        let labels = [0.0, 0.2, 2.5, 9.47, 10.0, 12.34, 99.96, 850.0, 19_000.0, 1_234_567.0];
        let wanted = ["0", "0.2", "2.5", "9.47", "10", "12.3", "100", "850", "19,000", "1,234,567"];
        assert_eq!(labels.map(grouped), wanted);
    }

    #[test]
    fn users_are_a_step_apart_by_how_many_times_as_many_they_are() {
        let curve = Curve { points: vec![(1_000.0, 9.0), (10_000.0, 8.0)], spans: Vec::new() };
        let users = X::Users(vec![1_000.0, 10_000.0]);
        let panel = Panel::new("t", "u", users, vec![curve]).unwrap();
        let axis = panel.level();
        let labels: Vec<String> = axis.marks.iter().map(|mark| panel.x.label(*mark)).collect();
        assert_eq!(labels, ["1,000", "10,000"]);
        assert!(axis.from < axis.marks[0] && axis.marks[1] < axis.to);
        let upright = panel.upright();
        assert!(upright.from == 0.0 && upright.to > 9.0, "{upright:?}");
        assert!(Panel::new("t", "u", X::Part, vec![Curve::default()]).is_none());
    }

    #[test]
    fn parts_are_told_by_their_nines() {
        let labels = [2_f64.log10(), 1.0, 2.0, 3.0, 5.0].map(|nines| X::Part.label(nines));
        assert_eq!(labels, ["50%", "90%", "99%", "99.9%", "99.999%"]);
    }
}
