//! Thresholds of a run: whether all passed decides the exit code.

use std::time::Duration;

use serde::Serialize;

use crate::format::{millis, percent};
use crate::recorder::RunMetrics;

/// Limits that a run is held to (k6's word).
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Thresholds")]
pub struct Thresholds {
    /// Highest ratio of failed iterations; dropped ones count as failed
    #[arg(long, default_value_t = 0.001, value_parser = ratio)]
    max_error_rate: f64,
    /// Highest ratio of iterations that end with a shed request (503 overloaded)
    #[arg(long, default_value_t = 0.01, value_parser = ratio)]
    max_shed_rate: f64,
    /// Highest 99th percentile of any endpoint
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    max_p99: Duration,
    /// Most requests that may be rate limited (429): one is one too many, for the load is then another than asked for
    #[arg(long, default_value_t = 0)]
    max_rate_limited: u64,
}

/// Outcome of one threshold.
#[derive(Debug, Clone, Serialize)]
pub struct ThresholdResult {
    pub threshold: String,
    pub measured: String,
    pub passed: bool,
}

impl Thresholds {
    pub fn check(&self, metrics: &RunMetrics, dropped_iterations: u64) -> Vec<ThresholdResult> {
        let all = metrics.iterations.count() + dropped_iterations;
        let ratio_of_all = |part: u64| part as f64 / all.max(1) as f64;
        let failed = ratio_of_all(metrics.iterations.failed + dropped_iterations);
        let shed = ratio_of_all(metrics.iterations.shed);
        let slowest = (metrics.endpoints.iter())
            .map(|(endpoint, counters)| (counters.latency.value_at_quantile(0.99), endpoint.name()))
            .max()
            .unwrap_or_default();
        let rate_limited = metrics.requests().rate_limited;
        vec![
            ThresholdResult {
                threshold: "at least one iteration ran".to_owned(),
                measured: format!("{all} iterations"),
                passed: all > 0,
            },
            ThresholdResult {
                threshold: format!(
                    "at most {} of the iterations fail",
                    percent(self.max_error_rate)
                ),
                measured: percent(failed),
                passed: failed <= self.max_error_rate,
            },
            ThresholdResult {
                threshold: format!(
                    "at most {} of the iterations are shed",
                    percent(self.max_shed_rate)
                ),
                measured: percent(shed),
                passed: shed <= self.max_shed_rate,
            },
            ThresholdResult {
                threshold: format!(
                    "99 of 100 requests of a kind take at most {}",
                    millis(self.max_p99.as_micros() as u64)
                ),
                measured: format!("{}, {}", millis(slowest.0), slowest.1),
                passed: u128::from(slowest.0) <= self.max_p99.as_micros(),
            },
            ThresholdResult {
                threshold: format!(
                    "at most {} requests are rate limited",
                    self.max_rate_limited
                ),
                measured: match rate_limited {
                    0 => "0".to_owned(),
                    n => format!("{n}: raise rate_limit.* of the service, see docs/rate-limits.md"),
                },
                passed: rate_limited <= self.max_rate_limited,
            },
        ]
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a ratio, 0 to 1, such as 0.001".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::time::Instant;

    use super::*;
    use crate::api::RequestOutcome;
    use crate::recorder::{Endpoint, Recorder};

    #[derive(Parser)]
    struct ThresholdArgs {
        #[command(flatten)]
        thresholds: Thresholds,
    }

    fn failed_thresholds(
        flags: &[&str],
        outcomes: &[RequestOutcome],
        took: Duration,
        dropped_iterations: u64,
    ) -> Vec<String> {
        let flags = ThresholdArgs::parse_from([&["test"], flags].concat());
        let now = Instant::now();
        let recorder = Recorder::new(now);
        for outcome in outcomes {
            recorder.record_request(now, Endpoint::PlaceOrder, took, outcome);
            recorder.record_iteration(now, took, outcome);
        }
        let results = flags
            .thresholds
            .check(&recorder.finish(), dropped_iterations);
        results
            .into_iter()
            .filter(|one| !one.passed)
            .map(|one| one.threshold)
            .collect()
    }

    #[test]
    fn each_threshold_can_pass_and_fail() {
        let (succeeded, fast) = (
            vec![RequestOutcome::Succeeded; 99],
            Duration::from_millis(5),
        );
        let with = |one: RequestOutcome| [succeeded.clone(), vec![one]].concat();
        let failed = || with(RequestOutcome::Failed("500".to_owned()));
        for (flags, outcomes, took, dropped_iterations, expected) in [
            (&[][..], succeeded.clone(), fast, 0, 0),
            (&[], failed(), fast, 0, 1),
            (&["--max-error-rate", "0.01"], failed(), fast, 0, 0),
            (&[], succeeded.clone(), fast, 1, 1),
            (&[], with(RequestOutcome::Shed), fast, 0, 0),
            (
                &["--max-shed-rate", "0"],
                with(RequestOutcome::Shed),
                fast,
                0,
                1,
            ),
            (&[], succeeded.clone(), Duration::from_millis(600), 0, 1),
            (
                &["--max-p99", "1s"],
                succeeded.clone(),
                Duration::from_millis(600),
                0,
                0,
            ),
            (&[], with(RequestOutcome::RateLimited), fast, 0, 1),
            (&[], vec![], fast, 0, 1),
        ] {
            let failed = failed_thresholds(flags, &outcomes, took, dropped_iterations);
            assert_eq!(failed.len(), expected, "{flags:?} {failed:?}");
        }
    }
}
