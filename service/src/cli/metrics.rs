//! `orderly metrics`: what can be watched.

use std::fmt::Write as _;

use super::command::print_stdout;
use crate::app::metrics::descriptions;
use crate::telemetry::metrics::MetricDescription;

/// List every metric of GET /metrics: name, type, labels and meaning.
///
/// Prints docs/metrics.md, which is made by it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print a JSON array of {name, type, labels, help}, for scripts
    #[arg(long)]
    json: bool,
}

const PAGE_HEADER: &str = "\
# Metrics

What `GET /metrics` on the admin listener shows, for Prometheus. Made by `orderly metrics`
(`--json` for scripts); do not edit. A histogram has its name with `_bucket`, `_sum` and
`_count` behind it. Every replica measures the same queues (`orderly_jobs`,
`orderly_job_oldest_age_seconds`, `orderly_outbox_…`): take their `max` over replicas, the `sum` of everything else.

| metric | type | labels | meaning |
|---|---|---|---|
";

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let metrics = descriptions()?;
    print_stdout(if args.json {
        serde_json::to_string_pretty(&metrics)?
    } else {
        render_page(&metrics)?
    })
    .await
}

fn render_page(metrics: &[MetricDescription]) -> Result<String, std::fmt::Error> {
    let mut page = PAGE_HEADER.to_owned();
    for metric in metrics {
        let MetricDescription {
            name,
            kind,
            labels,
            help,
        } = metric;
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |")?;
    }
    Ok(page)
}
