//! The picture: each server's curve over the number of users, one panel a figure.

use std::path::Path;

use plotters::prelude::*;

use super::LoadError;
use super::clock::figure;
use super::plan::{Plan, Server};
use super::run::Results;

/// Which figures of a workload are drawn, where it has them.
const DRAWN: [&str; 9] = [
    "rss_kib_per_user",
    "users_per_s",
    "ready_p99_ms",
    "frames_per_s",
    "frame_p99_ms",
    "burst_frames_per_s",
    "transitions_per_s",
    "replayed_per_s",
    "caught_up_p99_ms",
];
const WIDTH: u32 = 900;
const PANEL_HEIGHT: u32 = 320;
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 96, 39), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];

/// Points of one server.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Writes the picture.
///
/// # Errors
/// The file cannot be written.
pub fn write(plan: &Plan, results: &Results, file: &Path) -> Result<(), LoadError> {
    let panels = panels(plan, results);
    let text = draw(&panels).map_err(|error| LoadError::Failed(format!("--plot: {error}")))?;
    std::fs::write(file, text)
        .map_err(|error| LoadError::Failed(format!("--plot: {}: {error}", file.display())))
}

/// A title and its curves, for each figure that there is.
fn panels(plan: &Plan, results: &Results) -> Vec<(String, Vec<Curve>)> {
    let titled = |key: &&str| {
        let mut figures = results.rows.iter().flat_map(|row| &row.outcome.figures);
        let title = figures.find(|figure| figure.key == *key)?.title;
        let curve = |server: &Server| {
            let name = server.name();
            let point = |&size: &usize| {
                let users = figure(u64::try_from(size).unwrap_or_default());
                Some((users, results.figure(&name, size, key)?))
            };
            Curve { points: plan.sizes.iter().filter_map(point).collect(), name }
        };
        let title = format!("{}: {title} ({key})", plan.workload.name());
        Some((title, plan.servers.iter().map(curve).collect()))
    };
    DRAWN.iter().filter_map(titled).collect()
}

fn draw(panels: &[(String, Vec<Curve>)]) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    let count = panels.len().max(1);
    let height = PANEL_HEIGHT * u32::try_from(count)?;
    let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, curves)) in root.split_evenly((count, 1)).iter().zip(panels) {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let right = points().map(|point| point.0).fold(1.0, f64::max) * 1.05;
        let top = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max) * 1.15;
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        let plain =
            |value: &f64| if *value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        let whole = |value: &f64| format!("{value:.0}");
        chart
            .configure_mesh()
            .x_desc("users")
            .x_label_formatter(&whole)
            .y_label_formatter(&plain)
            .light_line_style(WHITE)
            .draw()?;
        for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
            let points = curve.points.iter().copied();
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            let dots = points.map(|point| Circle::new(point, 4, colour.filled()));
            let series = chart.draw_series(dots)?;
            let colour = *colour;
            series.label(&curve.name).legend(move |at| Circle::new(at, 4, colour.filled()));
        }
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    }
    root.present()?;
    drop(root);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_panel_for_each_figure_and_a_curve_for_each_server() {
        let curve = |name: &str| Curve { name: name.into(), points: vec![(1.0, 2.0), (9.0, 2.5)] };
        let panels = [
            ("fan-out: frames/s".to_owned(), vec![curve("one"), curve("another")]),
            ("fan-out: p99 ms".to_owned(), vec![curve("one")]),
        ];
        let text = draw(&panels).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
        for word in ["fan-out: frames/s", "fan-out: p99 ms", "another", "<polyline"] {
            assert!(text.contains(word), "no {word}");
        }
        assert!(text.matches("<polyline").count() >= 3, "{text}");
    }
}
