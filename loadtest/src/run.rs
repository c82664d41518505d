//! `orderly-loadtest run`: one run of one scenario.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::ApiClient;
use crate::arrival_rate::ConstantArrivalRate;
use crate::recorder::Recorder;
use crate::scenario::{Scenario, ScenarioRunner};
use crate::summary::Summary;
use crate::thresholds::Thresholds;
use crate::{invariants, log_progress, report};

/// Start iterations at a constant rate, whether or not earlier ones have ended
///
/// Registers virtual users of its own, measures every latency from the scheduled start, and checks the thresholds, and
/// with `--check-invariants` the database. Ctrl-C ends it early, with a summary.
#[derive(clap::Args)]
pub struct Args {
    /// The root of the service
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// What an iteration does
    #[arg(long, value_enum, default_value_t = Scenario::Buy)]
    scenario: Scenario,
    /// Iterations to start per second, 0.01 to 100000
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// For how long, after the warm-up
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Until Ctrl-C or SIGTERM
    #[arg(long, conflicts_with = "duration")]
    forever: bool,
    /// Time before the measurement, in which connections are opened and caches filled
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// Accounts to register for the run; iterations take turns. More than 10 take a minute for each further 10, unless the service's
    /// rate_limit.login_per_minute is raised
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    virtual_users: u32,
    /// Most iterations in flight; further ones are dropped and count as failed
    #[arg(long, default_value_t = 2000)]
    max_in_flight: usize,
    /// Time limit of a response
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Time limit of a payment
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    payment_timeout: Duration,
    #[command(flatten)]
    thresholds: Thresholds,
    /// Check the invariants afterwards with this `orderly` program, whose settings (ORDERLY__DATABASE__URL …) are in the
    /// environment
    #[arg(long, value_name = "ORDERLY")]
    check_invariants: Option<PathBuf>,
    /// Reconcile the orders with the sandbox gateway's ledger as well
    #[arg(long, requires = "check_invariants")]
    ledger: bool,
    /// Write a report to look at, one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What was to be done.
#[derive(Clone, Serialize)]
pub struct RunPlan {
    pub url: String,
    pub scenario: Scenario,
    /// Iterations per second.
    pub rate: f64,
    /// How long it went on, after the warm-up.
    pub seconds: f64,
    pub virtual_users: u32,
}

impl RunPlan {
    pub fn iteration_name(&self) -> &'static str {
        match self.scenario {
            Scenario::Buy => "iteration, until the order is paid",
            Scenario::Browse => "iteration",
        }
    }
}

impl fmt::Display for RunPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url, rate, seconds, ..
        } = self;
        let scenario = match self.scenario {
            Scenario::Buy => "buy",
            Scenario::Browse => "browse",
        };
        write!(
            f,
            "{scenario} at {url}: {rate} iterations per second for {seconds:.0} s"
        )
    }
}

pub async fn run(args: Args) -> anyhow::Result<bool> {
    let api = ApiClient::new(&args.url, args.timeout)?;
    let virtual_users = args.virtual_users as usize;
    let runner =
        ScenarioRunner::set_up(api, args.scenario, virtual_users, args.payment_timeout).await?;
    let runner = Arc::new(runner);

    log_progress(&format!(
        "{} iterations per second; Ctrl-C ends it early",
        args.rate
    ));
    let started_at = Instant::now() + args.warm_up;
    let recorder = Arc::new(Recorder::new(started_at));
    let arrivals = ConstantArrivalRate {
        rate: args.rate,
        duration: (!args.forever).then_some(args.warm_up + args.duration),
        max_in_flight: args.max_in_flight,
    };
    let stop = stop_on_signals()?;
    let counts = arrivals
        .run(&stop, |number, due| {
            let (runner, recorder) = (Arc::clone(&runner), Arc::clone(&recorder));
            async move { runner.run_iteration(number, due, &recorder).await }
        })
        .await;

    let metrics = recorder.finish();
    let planned = arrivals
        .duration
        .map(|all| all.saturating_sub(args.warm_up));
    let invariants = match &args.check_invariants {
        Some(orderly) => Some(invariants::check(orderly, args.ledger).await?),
        None => None,
    };
    let plan = RunPlan {
        url: args.url,
        scenario: args.scenario,
        rate: args.rate,
        seconds: planned
            .unwrap_or(started_at.elapsed())
            .min(started_at.elapsed())
            .as_secs_f64(),
        virtual_users: args.virtual_users,
    };
    let thresholds = args.thresholds.check(&metrics, counts.dropped);
    let summary = Summary::new(plan, counts, &metrics, thresholds, invariants);
    if let Some(file) = &args.html {
        let written = std::fs::write(file, report::render_page(&summary, &metrics));
        written.with_context(|| format!("writing {}", file.display()))?;
    }
    crate::print_stdout(&if args.json {
        serde_json::to_string_pretty(&summary)?
    } else {
        summary.to_string()
    })?;
    if let Some(file) = &args.html {
        log_progress(&format!("report: {}", file.display()));
    }
    Ok(summary.passed)
}

fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let on_signal = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        on_signal.cancel();
    });
    Ok(stop)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected iterations per second, 0.01 to 100000".to_owned()),
    }
}
