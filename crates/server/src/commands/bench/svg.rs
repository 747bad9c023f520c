//! The figures as a picture: how far each is from its target, and how they grow.

use super::catalogue::Place;
use super::growth::Stage;
use super::report::{Report, State, number};
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const ROW: f64 = 24.0;
const LEFT: f64 = 400.0;
const RIGHT: f64 = 880.0;
/// From a tenth of the target to ten times as good.
const DECADES: f64 = 1.0;
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1f2328}.quiet{fill:#656d76}.head{font-weight:600}\
    .reached{fill:#1a7f37}.missed{fill:#cf222e}.frame{stroke:#d0d7de;fill:none}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#8b949e}.frame{stroke:#30363d}}";

pub fn draw(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 28.0;
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<text class='head' x='12' y='{y}'>How far from the target (right of the line: reached; each mark a factor of ten)</text>"
    );
    let top = y + 8.0;
    let mut place = None;
    for figure in report.figures() {
        if figure.wanted().is_empty() {
            continue;
        }
        if place != Some(figure.place) {
            place = Some(figure.place);
            y += ROW * 1.3;
            let _ = writeln!(
                body,
                "<text class='head' x='12' y='{y}'>{}</text>",
                figure.place.title()
            );
        }
        y += ROW;
        let label = y - 6.0;
        let _ = writeln!(
            body,
            "<text x='12' y='{label}'>{}</text>",
            escaped(figure.row.name)
        );
        let middle = scale(1.0);
        match figure.reach {
            Some(reach) => {
                let end = scale(reach);
                let (from, width) = (middle.min(end), (end - middle).abs().max(1.0));
                let class = match figure.state {
                    State::Reached | State::ReachedAtLess => "reached",
                    State::Missed | State::Told | State::NotMeasured => "missed",
                };
                let _ = writeln!(
                    body,
                    "<rect class='{class}' x='{from:.1}' y='{:.1}' width='{width:.1}' height='14' rx='2'/>",
                    y - 17.0
                );
                let said = figure.ratio.filter(|_| figure.wanted().ends_with('×'));
                let said = match (said, figure.value) {
                    (Some(ratio), _) => format!("{} ×", number(ratio)),
                    (None, Some(_)) => figure.shown(),
                    (None, None) => String::new(),
                };
                let said = format!("{said} ({})", figure.wanted());
                // On the free side of the line.
                let (x, anchor) = if reach >= 1.0 {
                    (middle - 6.0, "end")
                } else {
                    (middle + 6.0, "start")
                };
                let _ = writeln!(
                    body,
                    "<text class='quiet' x='{x:.1}' y='{label}' text-anchor='{anchor}'>{}</text>",
                    escaped(&said)
                );
            }
            None => {
                let _ = writeln!(
                    body,
                    "<text class='quiet' x='{:.1}' y='{label}'>not measured</text>",
                    middle + 6.0
                );
            }
        }
    }
    let line = scale(1.0);
    let _ = writeln!(
        body,
        "<line class='frame' x1='{line:.1}' x2='{line:.1}' y1='{top}' y2='{y}'/>"
    );
    for place in [Place::Sqlite, Place::Postgres] {
        let stages: Vec<&Stage> = report
            .growth
            .iter()
            .filter(|stage| stage.place == place)
            .collect();
        if stages.len() > 1 {
            y = grow(&mut body, place, &stages, y + 40.0);
        }
    }
    let height = y + 24.0;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' width='{WIDTH}' height='{height:.0}'>\n\
         <title>ringback bench</title><style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn scale(reach: f64) -> f64 {
    let middle = f64::midpoint(LEFT, RIGHT);
    let decades = reach.max(1e-6).log10().clamp(-DECADES, DECADES);
    middle + decades / DECADES * (RIGHT - LEFT) / 2.0
}

/// What one of each costs, in parts of what it cost when the least was stored. Returns where the chart ends.
fn grow(body: &mut String, place: Place, stages: &[&Stage], top: f64) -> f64 {
    const COLOURS: [&str; 6] = [
        "#0969da", "#8250df", "#1a7f37", "#bf8700", "#cf222e", "#1b7c83",
    ];
    let (height, left, right) = (180.0, 60.0, 640.0);
    let _ = writeln!(
        body,
        "<text class='head' x='12' y='{top}'>{}: cost of one as more is stored (1 at {}; dashed: log n)</text>",
        place.title(),
        stages[0].stored
    );
    let bottom = top + 20.0 + height;
    let (least, most) = (
        stages[0].stored.max(2) as f64,
        stages[stages.len() - 1].stored.max(3) as f64,
    );
    let costs: Vec<[(&str, Option<f64>); 6]> = stages.iter().map(|stage| stage.costs()).collect();
    let parts = |column: usize| -> Vec<(f64, f64)> {
        let Some(base) = costs[0][column].1.filter(|base| *base > 0.0) else {
            return Vec::new();
        };
        let points = stages.iter().zip(&costs);
        points
            .filter_map(|(stage, costs)| Some((stage.stored as f64, costs[column].1? / base)))
            .collect()
    };
    let tallest = (0..6)
        .flat_map(parts)
        .map(|(_, part)| part)
        .fold(2.0, f64::max);
    let x = |stored: f64| left + (stored / least).ln() / (most / least).ln() * (right - left);
    let y = |part: f64| bottom - part / tallest * height;
    let line = |points: &[(f64, f64)]| {
        let points: Vec<String> = points
            .iter()
            .map(|(stored, part)| format!("{:.1},{:.1}", x(*stored), y(*part)))
            .collect();
        points.join(" ")
    };
    let _ = writeln!(
        body,
        "<rect class='frame' x='{left}' y='{:.1}' width='{:.1}' height='{height}'/>",
        top + 20.0,
        right - left
    );
    let log: Vec<(f64, f64)> = stages
        .iter()
        .map(|stage| {
            (
                stage.stored as f64,
                (stage.stored.max(2) as f64).ln() / least.ln(),
            )
        })
        .collect();
    let _ = writeln!(
        body,
        "<polyline fill='none' stroke='#8b949e' stroke-dasharray='4 4' points='{}'/>",
        line(&log)
    );
    for (column, colour) in COLOURS.iter().enumerate() {
        let points = parts(column);
        if points.is_empty() {
            continue;
        }
        let _ = writeln!(
            body,
            "<polyline fill='none' stroke='{colour}' stroke-width='2' points='{}'/>",
            line(&points)
        );
        let row = top + 34.0 + column as f64 * 20.0;
        let last = points.last().map_or(0.0, |(_, part)| *part);
        let _ = writeln!(
            body,
            "<rect x='660' y='{:.1}' width='12' height='12' fill='{colour}'/>\
             <text x='680' y='{row:.1}'>{}: {} ×</text>",
            row - 10.0,
            costs[0][column].0,
            number(last)
        );
    }
    for part in [1.0, tallest] {
        let _ = writeln!(
            body,
            "<text class='quiet' x='{:.1}' y='{:.1}' text-anchor='end'>{}</text>",
            left - 6.0,
            y(part) + 4.0,
            number(part)
        );
    }
    for stage in stages {
        let _ = writeln!(
            body,
            "<text class='quiet' x='{:.1}' y='{:.1}' text-anchor='middle'>{}</text>",
            x(stage.stored as f64),
            bottom + 16.0,
            stage.stored
        );
    }
    bottom + 16.0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{ROWS, Target};
    use super::*;

    #[test]
    fn every_row_with_a_target_is_drawn() {
        let mut report = Report::default();
        report.add(Place::Sqlite, "late-p50", 3.0);
        let picture = draw(&report);
        for row in ROWS {
            if row
                .targets
                .iter()
                .any(|(_, target)| *target != Target::Report)
            {
                assert!(picture.contains(&escaped(row.name)), "{}", row.name);
            }
        }
        assert!(picture.contains("class='missed'") && picture.contains("not measured"));
    }

    #[test]
    fn growth_is_drawn_from_two_stages_on() {
        let mut report = Report::default();
        for (stored, get) in [(1000, 1.0), (100_000, 2.0)] {
            let mut stage = Stage::new(Place::Sqlite, stored);
            stage.get = Some(get);
            report.growth.push(stage);
        }
        assert!(draw(&report).contains("get: 2.00 ×"));
    }
}
