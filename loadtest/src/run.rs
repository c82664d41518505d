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
use crate::scenario::{Scenario, Shop};
use crate::summary::Summary;
use crate::thresholds::Thresholds;
use crate::{books, report, say};

/// Let customers come at a constant rate, whether or not the earlier ones were served
///
/// Registers customers of its own, counts every wait from when the customer should have come, checks the thresholds, and
/// the books if it is told where `orderly` is. Ctrl-C ends it early, with a summary.
#[derive(clap::Args)]
pub struct Args {
    /// The root of the service
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// What the customers do
    #[arg(long, value_enum, default_value_t = Scenario::Buy)]
    scenario: Scenario,
    /// Customers that come in a second, 0.01 to 100000
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// For how long, after the warm-up
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Until Ctrl-C or SIGTERM
    #[arg(long, conflicts_with = "duration")]
    forever: bool,
    /// How long customers come before it counts: connections are opened and caches filled
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// Accounts to register for the run. More than 10 take a minute for each further 10, unless the service's
    /// rate_limit.login_per_minute is raised
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    customers: u32,
    /// Customers that may be in the shop at once; further ones are sent home and count as failed
    #[arg(long, default_value_t = 2000)]
    max_in_flight: usize,
    /// No answer may take longer
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// No payment may take longer
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    paid_within: Duration,
    #[command(flatten)]
    thresholds: Thresholds,
    /// Check the books afterwards with this `orderly` program, whose settings (ORDERLY__DATABASE__URL …) are in the
    /// environment
    #[arg(long, value_name = "ORDERLY")]
    books: Option<PathBuf>,
    /// Compare them with the sandbox gateway's ledger as well
    #[arg(long, requires = "books")]
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
pub struct Plan {
    pub url: String,
    pub scenario: Scenario,
    /// A second.
    pub rate: f64,
    /// How long it went on, after the warm-up.
    pub seconds: f64,
    pub customers: u32,
}

impl Plan {
    pub fn iteration_name(&self) -> &'static str {
        match self.scenario {
            Scenario::Buy => "the whole iteration, until it is paid",
            Scenario::Browse => "the whole iteration",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url, rate, seconds, ..
        } = self;
        let what = match self.scenario {
            Scenario::Buy => "buy",
            Scenario::Browse => "browse",
        };
        write!(
            f,
            "{what} at {url}: {rate} customers a second for {seconds:.0} s"
        )
    }
}

pub async fn run(args: Args) -> anyhow::Result<bool> {
    let api = ApiClient::new(&args.url, args.timeout)?;
    let customers = args.customers as usize;
    let shop = Shop::open(api, args.scenario, customers, args.paid_within).await?;
    let shop = Arc::new(shop);

    say(&format!(
        "{} customers a second; Ctrl-C ends it early",
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
            let (shop, recorder) = (Arc::clone(&shop), Arc::clone(&recorder));
            async move { shop.visit(number, due, &recorder).await }
        })
        .await;

    let metrics = recorder.finish();
    let planned = arrivals
        .duration
        .map(|all| all.saturating_sub(args.warm_up));
    let books = match &args.books {
        Some(orderly) => Some(books::check(orderly, args.ledger).await?),
        None => None,
    };
    let plan = Plan {
        url: args.url,
        scenario: args.scenario,
        rate: args.rate,
        seconds: planned
            .unwrap_or(started_at.elapsed())
            .min(started_at.elapsed())
            .as_secs_f64(),
        customers: args.customers,
    };
    let thresholds = args.thresholds.check(&metrics, counts.dropped);
    let summary = Summary::new(plan, counts, &metrics, thresholds, books);
    if let Some(file) = &args.html {
        let written = std::fs::write(file, report::render_page(&summary, &metrics));
        written.with_context(|| format!("writing {}", file.display()))?;
    }
    crate::print(&if args.json {
        serde_json::to_string_pretty(&summary)?
    } else {
        summary.to_string()
    })?;
    if let Some(file) = &args.html {
        say(&format!("report: {}", file.display()));
    }
    Ok(summary.passed)
}

fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected customers a second, 0.01 to 100000".to_owned()),
    }
}
