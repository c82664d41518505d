//! The report: one HTML file that needs nothing else.

use hdrhistogram::Histogram;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::format::{millis, percent};
use crate::recorder::{RunMetrics, TimelineBucket};
use crate::summary::{Summary, SummaryRow};

/// Of a chart, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;

const STYLE: &str = include_str!("report.css");

/// One series of a chart.
struct ChartSeries {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

pub fn render_page(summary: &Summary, metrics: &RunMetrics) -> String {
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
                    p.status.good[summary.passed].bad[!summary.passed] {
                        @if summary.passed { "All thresholds passed" } @else { "A threshold failed" }
                    }
                }
                (tiles(summary))
                section { h2 { "Thresholds" } (thresholds(summary)) }
                section { h2 { "Requests" } (table(summary)) (failures(summary)) }
                section { h2 { "Requests per second" } (throughput(metrics)) }
                section { h2 { "Latency over time" } (latency_over_time(metrics)) }
                section { h2 { "Latency by percentile" } (latency_by_percentile(&metrics.requests().latency)) }
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
    let iterations = &summary.iterations;
    let succeeded = percent(iterations.succeeded as f64 / iterations.count.max(1) as f64);
    let slowest = summary.endpoints.iter().map(|row| row.latency.p99_us).max();
    let tiles = [
        ("iterations", iterations.count.to_string()),
        ("succeeded", succeeded),
        ("shed", iterations.shed.to_string()),
        (
            "failed",
            (iterations.failed + summary.dropped_iterations).to_string(),
        ),
        (
            "slowest p99 of a request",
            millis(slowest.unwrap_or_default()),
        ),
        ("p99 of an iteration", millis(iterations.latency.p99_us)),
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
            @for check in summary.invariants.iter().flatten() {
                li.good[check.violations.is_empty()].bad[!check.violations.is_empty()] {
                    "Invariant: " (check.invariant)
                    @if !check.violations.is_empty() { " (" (check.violations.len()) " violations)" }
                }
            }
        }
    }
}

fn table(summary: &Summary) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "Latency from scheduled start" }
                @for name in ["count", "succeeded", "shed", "rate limited", "failed", "p50", "p90", "p99", "p99.9", "max"] {
                    th.number { (name) }
                }
            } }
            tbody { @for row in summary.rows() { (table_row(row)) } }
        } }
    }
}

fn table_row(row: &SummaryRow) -> Markup {
    let counts = [
        row.count,
        row.succeeded,
        row.shed,
        row.rate_limited,
        row.failed,
    ];
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
                @for (reason, count) in &row.failures { li { (count) " × " (row.name) ": " (reason) } }
            }
        }
    }
}

fn throughput(metrics: &RunMetrics) -> Markup {
    let seconds = metrics.bucket_width.as_secs_f64();
    let series = |name, class, of: fn(&TimelineBucket) -> u64| ChartSeries {
        name,
        class,
        points: over_time(metrics, |bucket| of(bucket) as f64 / seconds),
    };
    let series = [
        series("succeeded", "a", |bucket| bucket.succeeded),
        series("shed or rate limited", "b", |bucket| bucket.rejected),
        series("failed", "c", |bucket| bucket.failed),
    ];
    draw_chart(
        &series,
        |value| format!("{value:.0}"),
        &seconds_axis(metrics),
    )
}

fn latency_over_time(metrics: &RunMetrics) -> Markup {
    let series = |name, class, quantile| ChartSeries {
        name,
        class,
        points: over_time(metrics, |bucket| {
            bucket.latency.value_at_quantile(quantile) as f64
        }),
    };
    let series = [
        series("p50", "a", 0.5),
        series("p90", "b", 0.9),
        series("p99", "c", 0.99),
    ];
    draw_chart(
        &series,
        |value| millis(value as u64),
        &seconds_axis(metrics),
    )
}

/// Each step to the right has a tenth of the requests behind it that the one before had.
fn latency_by_percentile(latency: &Histogram<u64>) -> Markup {
    const NINES: f64 = 4.0;
    let steps = (0..=80).map(|step| f64::from(step) / 80.0 * NINES);
    let points = steps.map(|nines| {
        let quantile = 1.0 - 10_f64.powf(-nines);
        (nines / NINES, latency.value_at_quantile(quantile) as f64)
    });
    let series = ChartSeries {
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
    draw_chart(&[series], |value| millis(value as u64), &axis)
}

fn over_time(metrics: &RunMetrics, value: impl Fn(&TimelineBucket) -> f64) -> Vec<(f64, f64)> {
    let last = metrics.timeline.len().saturating_sub(1).max(1) as f64;
    let points = metrics.timeline.iter().enumerate();
    points
        .map(|(index, bucket)| (index as f64 / last, value(bucket)))
        .collect()
}

fn seconds_axis(metrics: &RunMetrics) -> Vec<(f64, String)> {
    let whole = metrics.bucket_width.as_secs_f64() * metrics.timeline.len() as f64;
    let at = |share: f64| (share, format!("{:.0} s", whole * share));
    [0.0, 0.25, 0.5, 0.75, 1.0].map(at).to_vec()
}

/// `x` goes from 0 to 1; `y` from 0 to the highest point.
fn draw_chart(
    all_series: &[ChartSeries],
    show: impl Fn(f64) -> String,
    axis: &[(f64, String)],
) -> Markup {
    let values = all_series
        .iter()
        .flat_map(|series| series.points.iter().map(|point| point.1));
    let highest = values.fold(0.0, f64::max).max(1.0) * 1.05;
    let y = |value: f64| HEIGHT - value / highest * HEIGHT;
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
                    @let at = y(highest / 1.05 * share);
                    line.grid x1="0" x2=(WIDTH) y1=(at) y2=(at) {}
                    text.y x="-8" y=(at + 4.0) { (show(highest / 1.05 * share)) }
                }
                @for (at, name) in axis {
                    text.x x=(at * WIDTH) y=(HEIGHT + 20.0) { (name) }
                }
                @for series in all_series { polyline.(series.class) points=(path(&series.points)) {} }
            }
            figcaption { @for series in all_series { span.(series.class) { (series.name) } } }
        }
    }
}
