//! What a run promises: whether they were kept decides the exit code.

use std::time::Duration;

use serde::Serialize;

use crate::recorder::Seen;

/// What a run promises.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Promises")]
pub struct Promises {
    /// Most visits that may fail, a share of all; those that were sent home are failed
    #[arg(long, default_value_t = 0.001, value_parser = share)]
    max_error_share: f64,
    /// Most visits that may end with a shed request (503 overloaded), a share of all
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    max_shed_share: f64,
    /// Longest 99th percentile of any operation
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    max_p99: Duration,
    /// Most requests that may be rate limited (429): one is one too many, for the load is then another than asked for
    #[arg(long, default_value_t = 0)]
    max_limited: u64,
}

/// What became of one of them.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    pub promise: String,
    pub measured: String,
    pub kept: bool,
}

impl Promises {
    pub fn check(&self, seen: &Seen, sent_home: u64) -> Vec<Kept> {
        let all = seen.visits.count() + sent_home;
        let share_of_all = |part: u64| part as f64 / all.max(1) as f64;
        let failed = share_of_all(seen.visits.failed + sent_home);
        let shed = share_of_all(seen.visits.shed);
        let slowest = (seen.operations.iter())
            .map(|(operation, tally)| (tally.latency.value_at_quantile(0.99), operation.name()))
            .max()
            .unwrap_or_default();
        let limited = seen.requests().limited;
        vec![
            Kept {
                promise: "somebody came".to_owned(),
                measured: format!("{all} visits"),
                kept: all > 0,
            },
            Kept {
                promise: format!(
                    "at most {} of the visits fail",
                    percent(self.max_error_share)
                ),
                measured: percent(failed),
                kept: failed <= self.max_error_share,
            },
            Kept {
                promise: format!(
                    "at most {} of the visits are shed",
                    percent(self.max_shed_share)
                ),
                measured: percent(shed),
                kept: shed <= self.max_shed_share,
            },
            Kept {
                promise: format!(
                    "99 of 100 requests of a kind take at most {}",
                    millis(self.max_p99.as_micros() as u64)
                ),
                measured: format!("{}, {}", millis(slowest.0), slowest.1),
                kept: u128::from(slowest.0) <= self.max_p99.as_micros(),
            },
            Kept {
                promise: format!("at most {} requests are rate limited", self.max_limited),
                measured: match limited {
                    0 => "0".to_owned(),
                    n => format!("{n}: raise rate_limit.* of the service, see docs/rate-limits.md"),
                },
                kept: limited <= self.max_limited,
            },
        ]
    }
}

/// 0.0012 is `0.12 %`.
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// 1234 µs are `1.2 ms`.
pub fn millis(micros: u64) -> String {
    let ms = micros as f64 / 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share, 0 to 1, such as 0.001".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::time::Instant;

    use super::*;
    use crate::api::RequestOutcome;
    use crate::recorder::{Operation, Recorder};

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        promises: Promises,
    }

    fn broken(
        flags: &[&str],
        outcomes: &[RequestOutcome],
        took: Duration,
        sent_home: u64,
    ) -> Vec<String> {
        let flags = Flags::parse_from([&["test"], flags].concat());
        let now = Instant::now();
        let recorder = Recorder::new(now);
        for outcome in outcomes {
            recorder.request(now, Operation::PlaceOrder, took, outcome);
            recorder.visit(now, took, outcome);
        }
        let kept = flags.promises.check(&recorder.finish(), sent_home);
        kept.into_iter()
            .filter(|one| !one.kept)
            .map(|one| one.promise)
            .collect()
    }

    #[test]
    fn each_promise_can_be_broken_and_kept() {
        let (good, quick) = (
            vec![RequestOutcome::Succeeded; 99],
            Duration::from_millis(5),
        );
        let with = |one: RequestOutcome| [good.clone(), vec![one]].concat();
        let failed = || with(RequestOutcome::Failed("500".to_owned()));
        for (flags, outcomes, took, sent_home, expected) in [
            (&[][..], good.clone(), quick, 0, 0),
            (&[], failed(), quick, 0, 1),
            (&["--max-error-share", "0.01"], failed(), quick, 0, 0),
            (&[], good.clone(), quick, 1, 1),
            (&[], with(RequestOutcome::Shed), quick, 0, 0),
            (
                &["--max-shed-share", "0"],
                with(RequestOutcome::Shed),
                quick,
                0,
                1,
            ),
            (&[], good.clone(), Duration::from_millis(600), 0, 1),
            (
                &["--max-p99", "1s"],
                good.clone(),
                Duration::from_millis(600),
                0,
                0,
            ),
            (&[], with(RequestOutcome::RateLimited), quick, 0, 1),
            (&[], vec![], quick, 0, 1),
        ] {
            let broken = broken(flags, &outcomes, took, sent_home);
            assert_eq!(broken.len(), expected, "{flags:?} {broken:?}");
        }
    }

    #[test]
    fn figures_are_for_people() {
        assert_eq!(
            (percent(0.001), percent(1.0), percent(0.0)),
            ("0.1 %".into(), "100 %".into(), "0 %".into())
        );
        assert_eq!(
            (millis(1234), millis(48_700), millis(12_345_678)),
            ("1.2 ms".into(), "49 ms".into(), "12.3 s".into())
        );
    }
}
