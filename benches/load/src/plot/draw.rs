//! Panels as SVG, two in a row, under one heading that names the servers.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::panel::{Axis, Curve, Panel, grouped};

/// The whole picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) subtitle: String,
    /// Their names, and whether each is the baseline.
    pub(super) servers: Vec<(String, bool)>,
    pub(super) panels: Vec<Panel>,
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const PANEL_WIDTH: u32 = 460;
const PANEL_HEIGHT: u32 = 300;
const HEADING_HEIGHT: i32 = 78;
/// Next to the heading.
const MARGIN: i32 = 18;
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(110, 110, 110);
const GRID: RGBColor = RGBColor(226, 226, 226);
/// The baseline of ratios.
const BASELINE: RGBColor = RGBColor(140, 140, 140);
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 96, 39), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];
/// Up to this many points are marked and labelled.
const MARKED_MAX: usize = 8;

fn title_font() -> FontDesc<'static> {
    ("sans-serif", 19).into_font().style(FontStyle::Bold)
}

fn small_font() -> FontDesc<'static> {
    ("sans-serif", 13).into_font()
}

/// The estimated width of a text: the font is unknown, so it is wider than most.
fn text_width(text: &str, font: &FontDesc<'_>) -> Result<i32, Box<dyn std::error::Error>> {
    Ok(i32::try_from(font.box_size(text)?.0)?)
}

/// The width of a server in the heading: its line, its name, and the gap after it.
fn server_width(name: &str) -> Result<i32, Box<dyn std::error::Error>> {
    Ok(28 + text_width(name, &small_font())? + 24)
}

impl Picture {
    pub(super) fn svg(&self) -> Result<String, Box<dyn std::error::Error>> {
        let mut text = String::new();
        let count = u32::try_from(self.panels.len().max(1))?;
        let (columns, rows) = (count.min(2), count.div_ceil(2));
        let height = u32::try_from(HEADING_HEIGHT)? + rows * PANEL_HEIGHT;
        // A single panel may be narrower than the heading above it.
        let width = self.heading_width()?.max(columns * PANEL_WIDTH);
        let root = SVGBackend::with_string(&mut text, (width, height));
        let root = root.into_drawing_area();
        root.fill(&WHITE)?;
        let (heading, below) = root.split_vertically(HEADING_HEIGHT);
        self.heading(&heading)?;
        let areas = below.split_evenly((usize::try_from(rows)?, usize::try_from(columns)?));
        for (area, panel) in areas.iter().zip(&self.panels) {
            self.panel(area, panel)?;
        }
        root.present()?;
        drop((heading, below, areas, root));
        Ok(text)
    }

    fn heading(&self, area: &Area<'_>) -> Drawn {
        area.draw_text(&self.title, &title_font().color(&INK), (MARGIN, 14))?;
        area.draw_text(&self.subtitle, &small_font().color(&FAINT), (MARGIN, 38))?;
        let mut x = MARGIN;
        for (server, (name, _)) in self.servers.iter().enumerate() {
            let line = PathElement::new(vec![(x, 64), (x + 22, 64)], self.line(server));
            area.draw(&line)?;
            area.draw_text(name, &small_font().color(&INK), (x + 28, 57))?;
            x += server_width(name)?;
        }
        Ok(())
    }

    /// How wide the picture must be for its heading.
    fn heading_width(&self) -> Result<u32, Box<dyn std::error::Error>> {
        let mut servers = 0;
        for (name, _) in &self.servers {
            servers += server_width(name)?;
        }
        let title = text_width(&self.title, &title_font())?;
        let subtitle = text_width(&self.subtitle, &small_font())?;
        Ok(u32::try_from(title.max(subtitle).max(servers) + 2 * MARGIN)?)
    }

    fn colour(&self, server: usize) -> RGBColor {
        match self.servers.get(server) {
            Some((_, true)) => BASELINE,
            Some(_) | None => COLOURS[server % COLOURS.len()],
        }
    }

    fn line(&self, server: usize) -> ShapeStyle {
        self.colour(server).stroke_width(2)
    }

    fn panel(&self, area: &Area<'_>, panel: &Panel) -> Drawn {
        let title = ("sans-serif", 15).into_font().color(&INK);
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{}, {}", panel.title, panel.unit), title)
            .margin(14)
            .x_label_area_size(38)
            .y_label_area_size(62)
            .build_cartesian_2d(panel.level(), panel.upright())?;
        let small = ("sans-serif", 12).into_font().color(&FAINT);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(FAINT)
            .x_desc(panel.x.title())
            .axis_desc_style(small.clone())
            .label_style(small)
            .x_label_formatter(&|place| panel.x.label(*place))
            .y_label_formatter(&|value| grouped(*value))
            .draw()?;
        for (server, curve) in panel.curves.iter().enumerate() {
            self.curve(&mut chart, panel, server, curve)?;
        }
        Ok(())
    }

    fn curve(
        &self,
        chart: &mut Chart<'_, '_>,
        panel: &Panel,
        server: usize,
        curve: &Curve,
    ) -> Drawn {
        let place = |(x, y): (f64, f64)| (panel.x.place(x), y);
        let points = || curve.points.iter().copied().map(place);
        chart.draw_series(LineSeries::new(points(), self.line(server)))?;
        if curve.points.len() > MARKED_MAX {
            return Ok(());
        }
        let colour = self.colour(server);
        chart.draw_series(curve.spans.iter().map(|(x, least, most)| {
            let x = panel.x.place(*x);
            PathElement::new(vec![(x, *least), (x, *most)], colour.stroke_width(1))
        }))?;
        chart.draw_series(points().map(|point| Circle::new(point, 4, colour.filled())))?;
        let label = ("sans-serif", 12).into_font().color(&INK);
        let lowest = panel.upright().to * 0.1;
        chart.draw_series(points().map(|(x, y)| {
            // Above the highest of the points that share the place, and below the others; if the
            // axis is directly below those, above as well, or beside them if there is no room.
            let others = panel.curves.iter().flat_map(|other| &other.points).copied().map(place);
            let above = others.filter(|at| at.0 == x && at.1 > y).map(|at| at.1 - y);
            let room = above.fold(f64::INFINITY, f64::min);
            let (at, by) = if room.is_infinite() || (y <= lowest && room > 1.5 * lowest) {
                (Pos::new(HPos::Center, VPos::Bottom), (0, -8))
            } else if y > lowest {
                (Pos::new(HPos::Center, VPos::Top), (0, 8))
            } else {
                (Pos::new(HPos::Left, VPos::Center), (8, -3))
            };
            let style = label.clone().pos(at);
            EmptyElement::at((x, y)) + Text::new(grouped(y), by, style)
        }))?;
        Ok(())
    }
}

/// A straight line from end to end, marked at its own points only.
impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

#[cfg(test)]
mod tests {
    use super::super::panel::X;
    use super::*;

    #[test]
    fn a_picture_has_its_servers_its_panels_and_their_units() {
        let curve = |y| Curve { points: vec![(10.0, y), (90.0, y * 2.0)], spans: vec![] };
        let panel = |title, unit, x| Panel::new(title, unit, x, vec![curve(2.0), curve(3.0)]);
        let users = X::Users(vec![10.0, 90.0]);
        let panels = [
            panel("Frames that arrived", "frames/s", users),
            panel("Memory", "MiB", X::Seconds),
            panel("Until the frame is there", "ms", X::Seconds),
        ];
        let picture = Picture {
            title: "bellpull load fan-out".into(),
            subtitle: "10, 90 users".into(),
            servers: vec![("one".into(), false), ("bare loop".into(), true)],
            panels: panels.into_iter().flatten().collect(),
        };
        let text = picture.svg().unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
        for words in [
            "bellpull load fan-out",
            "bare loop",
            "Frames that arrived, frames/s",
            "Memory, MiB",
            "Until the frame is there, ms",
            "seconds",
            "<polyline",
        ] {
            assert!(text.contains(words), "no {words}");
        }
        assert!(text.contains("width=\"920\" height=\"678\""), "two rows of two panels");
    }

    #[test]
    fn a_picture_is_as_wide_as_what_stands_above_its_panel() {
        let wide = |subtitle: &str, servers: &[&str]| {
            let points = vec![(0.0, 1.0), (9.0, 2.0)];
            let curves = vec![Curve { points, spans: vec![] }];
            let picture = Picture {
                title: "bellpull load idle".into(),
                subtitle: subtitle.into(),
                servers: servers.iter().map(|name| ((*name).to_owned(), false)).collect(),
                panels: Panel::new("Memory", "MiB", X::Seconds, curves).into_iter().collect(),
            };
            let text = picture.svg().unwrap();
            let (width, _) = text.strip_prefix("<svg width=\"").unwrap().split_once('"').unwrap();
            width.parse::<usize>().unwrap()
        };
        assert_eq!(wide("1,000 users", &["bellpull"]), 460, "a panel's");
        // A character of the subtitle's 10.5 px is 5.8 px wide in wide fonts such as DejaVu Sans.
        let subtitle = "1,000, 5,000, 10,000, 19,000 users; medians of 3 runs, upright lines from \
                        the least to the most";
        assert!(wide(subtitle, &["bellpull"]) >= 2 * 18 + subtitle.len() * 58 / 10);
        assert!(wide("", &["a server of another make"; 4]) >= 18 + 4 * 24 * 58 / 10);
    }
}
