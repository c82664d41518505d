//! What came out of a run, as numbers: for `--json`, for people, and for the report.

use std::fmt::{self, Write as _};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::arrivals::Came;
use crate::books::Verdict;
use crate::format::{millis, percent};
use crate::recorder::{Seen, Tally};
use crate::run::Plan;
use crate::thresholds::ThresholdResult;

/// All that came out.
#[derive(Serialize)]
pub struct Summary {
    pub plan: Plan,
    pub arrivals: u64,
    pub sent_home: u64,
    /// How much later than they should have customers came: the generator's own fault.
    pub late: Latency,
    /// By kind of request.
    pub operations: Vec<Row>,
    pub visits: Row,
    pub thresholds: Vec<ThresholdResult>,
    /// `None` if nobody asked for the books.
    pub books: Option<Vec<Verdict>>,
    pub passed: bool,
}

/// µs.
#[derive(Serialize)]
pub struct Latency {
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

#[derive(Serialize)]
pub struct Row {
    pub name: String,
    pub count: u64,
    pub good: u64,
    pub shed: u64,
    pub limited: u64,
    pub failed: u64,
    pub failures: Vec<(String, u64)>,
    pub latency: Latency,
}

impl Summary {
    pub fn new(
        plan: Plan,
        came: Came,
        seen: &Seen,
        thresholds: Vec<ThresholdResult>,
        books: Option<Vec<Verdict>>,
    ) -> Self {
        let rows = seen.operations.iter();
        let invariants_hold = books
            .iter()
            .flatten()
            .all(|verdict| verdict.broken_by.is_empty());
        Self {
            arrivals: came.arrivals,
            sent_home: came.sent_home,
            late: Latency::of(&seen.late),
            operations: rows
                .map(|(operation, tally)| Row::new(operation.name(), tally))
                .collect(),
            visits: Row::new(plan.whole_visit(), &seen.visits),
            passed: invariants_hold && thresholds.iter().all(|result| result.passed),
            thresholds,
            books,
            plan,
        }
    }

    /// The operations, and the whole visit below them.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.operations.iter().chain([&self.visits])
    }
}

impl Latency {
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

impl Row {
    fn new(name: &str, tally: &Tally) -> Self {
        Self {
            name: name.to_owned(),
            count: tally.count(),
            good: tally.good,
            shed: tally.shed,
            limited: tally.limited,
            failed: tally.failed,
            failures: (tally.failures.iter())
                .map(|(why, times)| (why.clone(), *times))
                .collect(),
            latency: Latency::of(&tally.latency),
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
            "{} customers came, 99 of 100 no later than {} after their time; {} found no place\n",
            self.arrivals,
            millis(self.late.p99_us),
            self.sent_home
        )?;
        writeln!(
            f,
            "{:34} {:>8} {:>8} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "LATENCY FROM WHEN IT WAS DUE",
            "COUNT",
            "GOOD",
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
        for (row, (why, times)) in self
            .rows()
            .flat_map(|row| row.failures.iter().map(move |one| (row, one)))
        {
            writeln!(failures, "        {times} x {}: {why}", row.name)?;
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
        if let Some(books) = &self.books {
            writeln!(f, "\nBOOKS")?;
            for Verdict { rule, broken_by } in books {
                writeln!(f, "{} {rule}", status_label(broken_by.is_empty()))?;
                for what in broken_by.iter().take(5) {
                    writeln!(f, "          {what}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency {
            p50_us,
            p90_us,
            p99_us,
            p999_us,
            max_us,
        } = self.latency;
        let good = percent(self.good as f64 / self.count.max(1) as f64);
        let shed = self.shed + self.limited;
        write!(
            f,
            "{:34} {:>8} {good:>8} {shed:>7} {:>7}",
            self.name, self.count, self.failed
        )?;
        for value in [p50_us, p90_us, p99_us, p999_us, max_us] {
            write!(f, " {:>9}", millis(value))?;
        }
        writeln!(f)
    }
}
