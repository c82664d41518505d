//! The report: one HTML file that needs nothing else.

use hdrhistogram::Histogram;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::format::{millis, percent};
use crate::recorder::{Seen, Slot};
use crate::summary::{Row, Summary};

/// Of a chart, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;

const STYLE: &str = include_str!("report.css");

/// One line of a chart.
struct Line {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

pub fn page(summary: &Summary, seen: &Seen) -> String {
    let title = summary.plan.to_string();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Orderly load test: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Load test" }
                    p.plan { (title) }
                    p.verdict.good[summary.passed].bad[!summary.passed] {
                        @if summary.passed { "All thresholds passed" } @else { "A threshold failed" }
                    }
                }
                (tiles(summary))
                section { h2 { "Thresholds" } (thresholds(summary)) }
                section { h2 { "Requests" } (table(summary)) (failures(summary)) }
                section { h2 { "Requests in a second" } (throughput(seen)) }
                section { h2 { "Latency over time" } (latency_over_time(seen)) }
                section { h2 { "Latency by percentile" } (by_percentile(&seen.requests().latency)) }
                footer { p {
                    "Customers come at a constant rate, and their waiting is counted from when they should have "
                    "come, so that a stall shows as long as it was (no coordinated omission)."
                } }
            }
        }
    };
    page.into_string()
}

fn tiles(summary: &Summary) -> Markup {
    let visits = &summary.visits;
    let good = percent(visits.good as f64 / visits.count.max(1) as f64);
    let slowest = summary
        .operations
        .iter()
        .map(|row| row.latency.p99_us)
        .max();
    let tiles = [
        ("visits", visits.count.to_string()),
        ("of them good", good),
        ("shed", visits.shed.to_string()),
        ("failed", (visits.failed + summary.sent_home).to_string()),
        (
            "slowest p99 of a request",
            millis(slowest.unwrap_or_default()),
        ),
        ("p99 of a visit", millis(visits.latency.p99_us)),
    ];
    html! {
        div.tiles { @for (name, value) in tiles { div { strong { (value) } span { (name) } } } }
    }
}

fn thresholds(summary: &Summary) -> Markup {
    html! {
        ul.marks {
            @for one in &summary.thresholds {
                li.good[one.passed].bad[!one.passed] { (one.threshold) ": " strong { (one.measured) } }
            }
            @for verdict in summary.books.iter().flatten() {
                li.good[verdict.broken_by.is_empty()].bad[!verdict.broken_by.is_empty()] {
                    "Books: " (verdict.rule)
                    @if !verdict.broken_by.is_empty() { " (broken " (verdict.broken_by.len()) " times)" }
                }
            }
        }
    }
}

fn table(summary: &Summary) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "From when it was due" }
                @for name in ["count", "good", "shed", "limited", "failed", "p50", "p90", "p99", "p99.9", "max"] {
                    th.number { (name) }
                }
            } }
            tbody { @for row in summary.rows() { (table_row(row)) } }
        } }
    }
}

fn table_row(row: &Row) -> Markup {
    let counts = [row.count, row.good, row.shed, row.limited, row.failed];
    let latency = &row.latency;
    let times = [
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.max_us,
    ];
    html! {
        tr {
            td { (row.name) }
            @for count in counts { td.number { (count) } }
            @for time in times { td.number { (millis(time)) } }
        }
    }
}

fn failures(summary: &Summary) -> Markup {
    html! {
        ul {
            @for row in summary.rows() {
                @for (why, times) in &row.failures { li { (times) " × " (row.name) ": " (why) } }
            }
        }
    }
}

fn throughput(seen: &Seen) -> Markup {
    let seconds = seen.slot.as_secs_f64();
    let line = |name, class, of: fn(&Slot) -> u64| Line {
        name,
        class,
        points: over_time(seen, |slot| of(slot) as f64 / seconds),
    };
    let lines = [
        line("good", "a", |slot| slot.good),
        line("shed or limited", "b", |slot| slot.refused),
        line("failed", "c", |slot| slot.failed),
    ];
    chart(&lines, |value| format!("{value:.0}"), &seconds_axis(seen))
}

fn latency_over_time(seen: &Seen) -> Markup {
    let line = |name, class, quantile| Line {
        name,
        class,
        points: over_time(seen, |slot| slot.latency.value_at_quantile(quantile) as f64),
    };
    let lines = [
        line("p50", "a", 0.5),
        line("p90", "b", 0.9),
        line("p99", "c", 0.99),
    ];
    chart(&lines, |value| millis(value as u64), &seconds_axis(seen))
}

/// Each step to the right has a tenth of the requests behind it that the one before had.
fn by_percentile(latency: &Histogram<u64>) -> Markup {
    const NINES: f64 = 4.0;
    let steps = (0..=80).map(|step| f64::from(step) / 80.0 * NINES);
    let points = steps.map(|nines| {
        let quantile = 1.0 - 10_f64.powf(-nines);
        (nines / NINES, latency.value_at_quantile(quantile) as f64)
    });
    let line = Line {
        name: "all requests",
        class: "a",
        points: points.collect(),
    };
    let axis = [
        (0.0, "min"),
        (0.25, "90 %"),
        (0.5, "99 %"),
        (0.75, "99.9 %"),
        (1.0, "99.99 %"),
    ];
    let axis = axis.map(|(at, name)| (at, name.to_owned()));
    chart(&[line], |value| millis(value as u64), &axis)
}

fn over_time(seen: &Seen, value: impl Fn(&Slot) -> f64) -> Vec<(f64, f64)> {
    let last = seen.timeline.len().saturating_sub(1).max(1) as f64;
    let points = seen.timeline.iter().enumerate();
    points
        .map(|(index, slot)| (index as f64 / last, value(slot)))
        .collect()
}

fn seconds_axis(seen: &Seen) -> Vec<(f64, String)> {
    let whole = seen.slot.as_secs_f64() * seen.timeline.len() as f64;
    let at = |share: f64| (share, format!("{:.0} s", whole * share));
    [0.0, 0.25, 0.5, 0.75, 1.0].map(at).to_vec()
}

/// `x` goes from 0 to 1; `y` from 0 to the highest point.
fn chart(lines: &[Line], show: impl Fn(f64) -> String, axis: &[(f64, String)]) -> Markup {
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.1));
    let top = values.fold(0.0, f64::max).max(1.0) * 1.05;
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let path = |points: &[(f64, f64)]| -> String {
        points
            .iter()
            .map(|point| format!("{:.1},{:.1} ", point.0 * WIDTH, y(point.1)))
            .collect()
    };
    html! {
        figure {
            svg viewBox=(format!("-70 -10 {} {}", WIDTH + 110.0, HEIGHT + 40.0)) role="img" {
                @for share in [0.0, 0.5, 1.0] {
                    @let at = y(top / 1.05 * share);
                    line.grid x1="0" x2=(WIDTH) y1=(at) y2=(at) {}
                    text.y x="-8" y=(at + 4.0) { (show(top / 1.05 * share)) }
                }
                @for (at, name) in axis {
                    text.x x=(at * WIDTH) y=(HEIGHT + 20.0) { (name) }
                }
                @for line in lines { polyline.(line.class) points=(path(&line.points)) {} }
            }
            figcaption { @for line in lines { span.(line.class) { (line.name) } } }
        }
    }
}
