//! Plots as plain SVG, readable on light and dark pages.

use std::fmt::Write;

use crate::engines::Kind;
use crate::measure::{Curve, Row, number};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const STYLE: &str = "<style>text{font:13px sans-serif;fill:#888}.bar{fill:#9aa7b4}.ours{fill:#1f7a8c}\
                     .grid{stroke:#8884}polyline{fill:none;stroke-width:2}</style>";
const COLOURS: [&str; 4] = ["#1f7a8c", "#e07a5f", "#9aa7b4", "#81b29a"];

/// Every plot that these rows allow: file name, title, SVG.
pub fn all(rows: &[Row]) -> Vec<(String, String, String)> {
    let row = |id: &str| rows.iter().find(|row| row.id == id);
    let mut made = Vec::new();
    let throughput: Vec<&Row> =
        ["durable", "burst", "buffered", "single", "scan"].iter().filter_map(|id| row(id)).collect();
    if !throughput.is_empty() {
        made.push(("throughput.svg".into(), "Throughput".into(), bars(&throughput, true)));
    }
    let pages: Vec<&Row> = ["tail", "sealed", "get"].iter().filter_map(|id| row(id)).collect();
    if !pages.is_empty() {
        made.push(("pages.svg".into(), "Pages and lookups".into(), bars(&pages, true)));
    }
    if let Some(row) = row("space") {
        made.push(("space.svg".into(), "Space".into(), bars(&[row], false)));
    }
    if let Some(row) = row("long").filter(|row| !row.curves.is_empty()) {
        let svg = lines("page latency, us, by entries in the log", &row.curves);
        made.push(("latency.svg".into(), "Page latency over the log's size".into(), svg));
    }
    made
}

/// Horizontal bars, a group for each row; on a logarithmic scale over three decades if asked for.
fn bars(rows: &[&Row], log: bool) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for row in rows {
        let scale = if log { ", logarithmic" } else { "" };
        text(&mut body, 10.0, y + 14.0, "start", &format!("{}, {}{scale}", row.title, row.unit));
        y += 24.0;
        let most = row.series.iter().map(|series| series.median()).fold(0.0, f64::max);
        for series in &row.series {
            let value = series.median();
            let part = if log { 1.0 + (value / most).log10() / 3.0 } else { value / most };
            let width = (part.max(0.005)) * (WIDTH - LEFT - 80.0);
            let ours = series.engine.starts_with(Kind::Tidelog.name());
            let class = if ours { "ours" } else { "bar" };
            text(&mut body, LEFT - 8.0, y + 13.0, "end", &series.engine);
            writeln!(body, "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"16\"/>")
                .expect("memory takes it");
            text(&mut body, LEFT + width + 6.0, y + 13.0, "start", &number(value));
            y += 20.0;
        }
        y += 14.0;
    }
    svg(y, &body)
}

/// Lines over a logarithmic x axis, with a logarithmic y axis.
fn lines(title: &str, curves: &[Curve]) -> String {
    let (top, bottom, left, right) = (40.0, 320.0, 70.0, WIDTH - 130.0);
    let all = curves.iter().flat_map(|curve| &curve.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = all.clone().map(of).map(f64::log10);
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        (low, (high - low).max(0.1))
    };
    let ((x_low, x_span), (y_low, y_span)) = (range(|point| point.0), range(|point| point.1.max(0.1)));
    let x = |value: f64| left + (value.log10() - x_low) / x_span * (right - left);
    let y = |value: f64| bottom - (value.max(0.1).log10() - y_low) / y_span * (bottom - top);
    let mut body = String::new();
    text(&mut body, 10.0, 22.0, "start", title);
    for step in 0..=4 {
        let value = 10f64.powf(y_low + y_span * f64::from(step) / 4.0);
        let at = y(value);
        writeln!(body, "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>")
            .expect("memory takes it");
        text(&mut body, left - 8.0, at + 4.0, "end", &number(value));
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<String> =
            curve.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        writeln!(body, "<polyline stroke=\"{colour}\" points=\"{}\"/>", points.join(" ")).expect("memory takes it");
        if let Some(last) = curve.points.last() {
            text(&mut body, x(last.0) + 6.0, y(last.1) + 4.0, "start", &curve.label);
        }
    }
    for point in &curves[0].points {
        text(&mut body, x(point.0), bottom + 20.0, "middle", &number(point.0));
    }
    svg(350.0, &body)
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>").expect("memory takes it");
}

fn svg(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\">\n{STYLE}\n{body}</svg>\n"
    )
}
