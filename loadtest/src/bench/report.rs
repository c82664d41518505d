//! What came out of the benchmark, as a page for `loadtest/results`.

use std::fmt::{self, Write as _};
use std::fs;

use super::Args;
use super::cpu::CpuTime;
use crate::format::millis;

/// Result of one side's turn.
#[derive(Debug, Clone, Copy, Default)]
pub struct TurnResult {
    pub orders: u64,
    pub per_second: f64,
    pub mean_us: f64,
    /// `pgbench` says none.
    pub p99_us: Option<u64>,
    /// µs for each order.
    pub cpu: CpuTime,
}

/// A turn of each.
#[derive(Debug, Clone, Copy, Default)]
pub struct BenchRound {
    pub pgbench: TurnResult,
    pub service: TurnResult,
}

/// All rounds, and where they were.
pub struct BenchReport {
    pub rounds: Vec<BenchRound>,
    pub environment: Vec<(&'static str, String)>,
}

impl BenchRound {
    fn ratio(&self) -> f64 {
        self.service.per_second / self.pgbench.per_second
    }
}

/// Where and how it is done, to be asked before it begins.
pub fn describe_environment(args: &Args) -> anyhow::Result<Vec<(&'static str, String)>> {
    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    let load = fs::read_to_string("/proc/loadavg")?;
    let (rounds, seconds, clients) = (args.rounds, args.seconds, args.clients);
    Ok(vec![
        ("commit", args.commit.clone()),
        ("command", args.command.clone()),
        ("date", date.to_string()),
        ("machine", machine()),
        ("load before", load.trim().to_owned()),
        ("Postgres", args.postgres.clone()),
        ("service", args.service_setup.clone()),
        (
            "rounds",
            format!("{rounds} of {seconds} s each, {clients} clients on both sides"),
        ),
    ])
}

impl BenchReport {
    /// The median of the rounds' ratios.
    pub fn ratio(&self) -> f64 {
        median(self.rounds.iter().map(BenchRound::ratio))
    }

    pub fn markdown(&self) -> String {
        let mut page = String::new();
        // A String takes everything.
        let _never_fails = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> fmt::Result {
        let ratios = || self.rounds.iter().map(BenchRound::ratio);
        writeln!(page, "# The order path against pgbench\n")?;
        writeln!(
            page,
            "**{:.2}** of pgbench's orders a second: the median of {} interleaved rounds, {:.2} to {:.2}.\n",
            self.ratio(),
            self.rounds.len(),
            ratios().fold(f64::INFINITY, f64::min),
            ratios().fold(0.0, f64::max)
        )?;
        writeln!(page, "| | |\n|---|---|")?;
        for (what, value) in &self.environment {
            writeln!(page, "| {what} | {value} |")?;
        }
        writeln!(
            page,
            "\n| round | pgbench, orders/s | service, orders/s | ratio |\n|---|---|---|---|"
        )?;
        for (number, round) in self.rounds.iter().enumerate() {
            let (pgbench, service) = (round.pgbench.per_second, round.service.per_second);
            writeln!(
                page,
                "| {} | {pgbench:.0} | {service:.0} | {:.2} |",
                number + 1,
                round.ratio()
            )?;
        }
        writeln!(page, "\nMedians of the rounds:\n")?;
        writeln!(page, "| | pgbench | service |\n|---|---|---|")?;
        self.row(
            page,
            "orders/s",
            |result| result.per_second,
            |value| format!("{value:.0}"),
        )?;
        self.row(
            page,
            "mean latency",
            |result| result.mean_us,
            |value| millis(value as u64),
        )?;
        self.row(
            page,
            "p99 latency",
            |result| result.p99_us.unwrap_or_default() as f64,
            |value| {
                if value > 0.0 {
                    millis(value as u64)
                } else {
                    "-".to_owned()
                }
            },
        )?;
        for (what, of) in [
            (
                "CPU of the client, for each order",
                (|result| result.cpu.client) as fn(&TurnResult) -> f64,
            ),
            ("CPU of the service", |result| result.cpu.service),
            ("CPU of Postgres", |result| result.cpu.postgres),
        ] {
            self.row(page, what, of, |value| format!("{value:.0} µs"))?;
        }
        Ok(())
    }

    fn row(
        &self,
        page: &mut String,
        what: &str,
        of: impl Fn(&TurnResult) -> f64,
        show: impl Fn(f64) -> String,
    ) -> fmt::Result {
        let pgbench = show(median(self.rounds.iter().map(|round| of(&round.pgbench))));
        let service = show(median(self.rounds.iter().map(|round| of(&round.service))));
        writeln!(page, "| {what} | {pgbench} | {service} |")
    }
}

impl fmt::Display for BenchRound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pgbench, service) = (self.pgbench.per_second, self.service.per_second);
        write!(
            f,
            "pgbench {pgbench:.0}, service {service:.0} orders/s: {:.2}",
            self.ratio()
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

fn machine() -> String {
    let line_of = |file: &str, start: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(start));
        let value = line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()));
        value.unwrap_or_else(|| "unknown".to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{} x {}, memory {}",
        cores,
        line_of("/proc/cpuinfo", "model name"),
        line_of("/proc/meminfo", "MemTotal")
    )
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn returns_median_of_odd_and_even_counts() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
