//! What do the measured figures look like? Draws each `benches/plots/*.csv` as an SVG beside it:
//!
//!     cd benches/peers && cargo run --release -p plot
//!
//! A file has its title and what its axes mean in lines of comment, then a table: a row for each line of the
//! plot, a column for each place on the x axis, which are drawn at equal distances. The places are powers, so that
//! is a logarithmic axis. Both axes are. Rows whose names begin with the same word and a colon have the same
//! colour. Where a cell is empty nothing is drawn.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for whoever writes BENCHMARKS.md, which says where it fails"
)]

use std::fs;
use std::path::Path;

use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 420);
/// Of the width, for the names of the lines.
const LEGEND: u32 = 210;
const LINE_OF_LEGEND: usize = 22;
const FONT: &str = "sans-serif";
/// Told apart also by who sees fewer colours.
const COLORS: [RGBColor; 4] =
    [RGBColor(0, 90, 181), RGBColor(213, 94, 0), RGBColor(0, 135, 90), RGBColor(150, 70, 150)];
/// How much of its colour a line has, against the next one of its group.
const WEAKER: f64 = 0.6;

/// What a file says.
struct Figures {
    title: String,
    x: String,
    y: String,
    places: Vec<String>,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    color: RGBAColor,
    /// At the places of these numbers.
    points: Vec<(i32, f64)>,
}

fn main() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plots"));
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "csv") {
            let svg = file.with_extension("svg");
            fs::write(&svg, draw(&Figures::read(&fs::read_to_string(&file).unwrap()))).unwrap();
            println!("{}", svg.display());
        }
    }
}

impl Figures {
    fn read(text: &str) -> Self {
        let said = |what: &str| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("# "));
            lines.find_map(|line| line.strip_prefix(what)).unwrap().to_owned()
        };
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(',').collect())
            .collect();
        let (head, rows) = rows.split_first().unwrap();
        let places = head.iter().skip(1).map(|place| thousands(place)).collect();
        let mut groups: Vec<&str> = rows.iter().map(|row| group(row)).collect();
        groups.dedup();
        let line = |(at, row): (usize, &Vec<&str>)| {
            let of_group = groups.iter().position(|name| *name == group(row)).unwrap();
            let stronger = rows.iter().skip(at + 1).filter(|other| group(other) == group(row));
            let strength: f64 = stronger.map(|_| WEAKER).product();
            let color = COLORS[of_group % COLORS.len()].mix(strength);
            let points = (0..).zip(row.iter().skip(1)).filter(|(_, figure)| !figure.is_empty());
            let points = points.map(|(at, figure)| (at, figure.parse().unwrap())).collect();
            Line { name: row[0].to_owned(), color, points }
        };
        let lines = rows.iter().enumerate().map(line).collect();
        Self { title: said("title: "), x: said("x: "), y: said("y: "), places, lines }
    }

    /// From a round figure below all, which is still labelled, to one above all.
    fn range(&self) -> std::ops::Range<f64> {
        let figures = || self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
        let least = figures().fold(f64::INFINITY, f64::min).log10().floor();
        let most = figures().fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
        0.99 * 10_f64.powf(least)..10_f64.powf(most)
    }
}

fn group<'a>(row: &[&'a str]) -> &'a str {
    row[0].split(':').next().unwrap_or_default()
}

/// `100,000` for `100000`.
fn thousands(figure: &str) -> String {
    let whole = figure.split('.').next().unwrap_or_default().len();
    let mut text = String::new();
    for (at, digit) in figure.chars().enumerate() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same bytes for the same figures.
fn draw(figures: &Figures) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // Pages are light or dark; what is drawn on white can be read on both.
        root.fill(&WHITE).unwrap();
        let (plot, legend) = root.split_horizontally(SIZE.0 - LEGEND);
        draw_lines(figures, &plot);
        draw_legend(figures, &legend);
        root.present().unwrap();
    }
    svg
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_lines(figures: &Figures, area: &Area<'_>) {
    let last = i32::try_from(figures.places.len()).unwrap() - 1;
    let mut chart = ChartBuilder::on(area)
        .caption(&figures.title, (FONT, 20))
        .margin(16)
        .margin_right(30)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0..last, figures.range().log_scale())
        .unwrap();
    let place = |at: &i32| {
        let place = usize::try_from(*at).ok().and_then(|at| figures.places.get(at));
        place.cloned().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .x_labels(figures.places.len())
        .x_label_formatter(&place)
        .y_label_formatter(&|figure| thousands(&figure.to_string()))
        .x_desc(&figures.x)
        .y_desc(&figures.y)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .bold_line_style(BLACK.mix(0.2))
        .light_line_style(BLACK.mix(0.06))
        .draw()
        .unwrap();
    for Line { color, points, .. } in &figures.lines {
        let points = points.iter().copied();
        chart.draw_series(LineSeries::new(points.clone(), color.stroke_width(2))).unwrap();
        chart.draw_series(points.map(|point| Circle::new(point, 4, color.filled()))).unwrap();
    }
}

/// From the highest line on the right to the lowest.
fn draw_legend(figures: &Figures, area: &Area<'_>) {
    let end = |line: &&Line| line.points.last().map_or(0.0, |point| point.1);
    let mut lines: Vec<&Line> = figures.lines.iter().collect();
    lines.sort_by(|a, b| end(b).total_cmp(&end(a)));
    for (line, y) in lines.into_iter().zip((60..).step_by(LINE_OF_LEGEND)) {
        let stroke = PathElement::new([(0, y), (22, y)], line.color.stroke_width(3));
        area.draw(&stroke).unwrap();
        area.draw(&Text::new(line.name.clone(), (30, y - 7), (FONT, 14))).unwrap();
    }
}
