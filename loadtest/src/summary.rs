//! What came out of a run, as numbers: for `--json`, for people, and for the report.

use std::fmt::{self, Write as _};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::arrival_rate::IterationCounts;
use crate::format::{millis, percent};
use crate::invariants::InvariantCheck;
use crate::recorder::{OutcomeCounters, RunMetrics};
use crate::run::RunPlan;
use crate::thresholds::ThresholdResult;

/// All that came out.
#[derive(Serialize)]
pub struct Summary {
    pub plan: RunPlan,
    pub scheduled_iterations: u64,
    pub dropped_iterations: u64,
    /// How much later than they should have customers came: the generator's own fault.
    pub start_delay: LatencyPercentiles,
    /// By kind of request.
    pub endpoints: Vec<SummaryRow>,
    pub iterations: SummaryRow,
    pub thresholds: Vec<ThresholdResult>,
    /// `None` without `--check-invariants`.
    pub invariants: Option<Vec<InvariantCheck>>,
    pub passed: bool,
}

/// µs.
#[derive(Serialize)]
pub struct LatencyPercentiles {
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

#[derive(Serialize)]
pub struct SummaryRow {
    pub name: String,
    pub count: u64,
    pub succeeded: u64,
    pub shed: u64,
    pub rate_limited: u64,
    pub failed: u64,
    pub failures: Vec<(String, u64)>,
    pub latency: LatencyPercentiles,
}

impl Summary {
    pub fn new(
        plan: RunPlan,
        counts: IterationCounts,
        metrics: &RunMetrics,
        thresholds: Vec<ThresholdResult>,
        invariants: Option<Vec<InvariantCheck>>,
    ) -> Self {
        let rows = metrics.endpoints.iter();
        let invariants_hold = invariants
            .iter()
            .flatten()
            .all(|check| check.violations.is_empty());
        Self {
            scheduled_iterations: counts.scheduled,
            dropped_iterations: counts.dropped,
            start_delay: LatencyPercentiles::of(&metrics.start_delay),
            endpoints: rows
                .map(|(endpoint, counters)| SummaryRow::new(endpoint.name(), counters))
                .collect(),
            iterations: SummaryRow::new(plan.iteration_name(), &metrics.iterations),
            passed: invariants_hold && thresholds.iter().all(|result| result.passed),
            thresholds,
            invariants,
            plan,
        }
    }

    /// The endpoints, and the whole iteration below them.
    pub fn rows(&self) -> impl Iterator<Item = &SummaryRow> {
        self.endpoints.iter().chain([&self.iterations])
    }
}

impl LatencyPercentiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

impl SummaryRow {
    fn new(name: &str, counters: &OutcomeCounters) -> Self {
        Self {
            name: name.to_owned(),
            count: counters.count(),
            succeeded: counters.succeeded,
            shed: counters.shed,
            rate_limited: counters.rate_limited,
            failed: counters.failed,
            failures: (counters.failures.iter())
                .map(|(reason, count)| (reason.clone(), *count))
                .collect(),
            latency: LatencyPercentiles::of(&counters.latency),
        }
    }
}

/// `passed` or `FAILED`, of the same width.
fn status_label(passed: bool) -> &'static str {
    if passed { "passed " } else { "FAILED " }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", self.plan)?;
        writeln!(
            f,
            "{} iterations scheduled, p99 of the start delay {}; {} dropped\n",
            self.scheduled_iterations,
            millis(self.start_delay.p99_us),
            self.dropped_iterations
        )?;
        writeln!(
            f,
            "{:34} {:>8} {:>8} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "LATENCY FROM SCHEDULED START",
            "COUNT",
            "SUCCEEDED",
            "SHED",
            "FAILED",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max"
        )?;
        for row in self.rows() {
            row.fmt(f)?;
        }
        let mut failures = String::new();
        for (row, (reason, count)) in self
            .rows()
            .flat_map(|row| row.failures.iter().map(move |one| (row, one)))
        {
            writeln!(failures, "        {count} x {}: {reason}", row.name)?;
        }
        if !failures.is_empty() {
            write!(f, "\nFAILED\n{failures}")?;
        }
        writeln!(f, "\nTHRESHOLDS")?;
        for ThresholdResult {
            threshold,
            measured,
            passed,
        } in &self.thresholds
        {
            writeln!(f, "{} {threshold}: {measured}", status_label(*passed))?;
        }
        if let Some(invariants) = &self.invariants {
            writeln!(f, "\nINVARIANTS")?;
            for InvariantCheck {
                invariant,
                violations,
            } in invariants
            {
                writeln!(f, "{} {invariant}", status_label(violations.is_empty()))?;
                for what in violations.iter().take(5) {
                    writeln!(f, "          {what}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for SummaryRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LatencyPercentiles {
            p50_us,
            p90_us,
            p99_us,
            p999_us,
            max_us,
        } = self.latency;
        let succeeded = percent(self.succeeded as f64 / self.count.max(1) as f64);
        let shed = self.shed + self.rate_limited;
        write!(
            f,
            "{:34} {:>8} {succeeded:>8} {shed:>7} {:>7}",
            self.name, self.count, self.failed
        )?;
        for value in [p50_us, p90_us, p99_us, p999_us, max_us] {
            write!(f, " {:>9}", millis(value))?;
        }
        writeln!(f)
    }
}
