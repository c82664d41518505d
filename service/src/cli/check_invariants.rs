//! `orderly check-invariants`: whether goods, orders and money add up.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::time::Instant;

use super::command::{CommandContext, print_stdout};
use crate::app;
use crate::payments::LedgerEntry;
use crate::usecases::check_invariants::{InvariantResult, check_invariants};
use crate::usecases::reconcile_payments::{payments_in_progress, reconcile_payments};

/// Violations of one invariant that the table shows.
const MAX_VIOLATIONS_SHOWN: usize = 5;

/// Check the invariants: that goods, orders and money add up. Exit code 1 if they do not.
///
/// Reads whole tables and changes nothing. It can be run at any moment: after a crash, a drill or a load test, or on a
/// backup that was restored.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Compare the orders with the ledger of the sandbox gateway at payments.gateway_url as well, once no payment is
    /// under way any more
    #[arg(long)]
    ledger: bool,
    /// How long to wait for the payments under way, in seconds
    #[arg(long, default_value_t = 60, requires = "ledger", value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// Print a JSON array of {invariant, violations}, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct LedgerResponse {
    entries: Vec<LedgerEntry>,
}

pub(super) async fn run(args: Args, context: &CommandContext) -> anyhow::Result<()> {
    context.set_undone("not all invariants were checked, and nothing was changed");
    let settings = context.settings().await?;
    let database = context.database(&settings)?;
    app::require_compatible_schema(&database).await?;
    let mut conn = database.dedicated_connection().await?;
    if args.ledger {
        let deadline = Instant::now() + Duration::from_secs(args.wait);
        loop {
            let pending = payments_in_progress(&mut conn).await?.len();
            if pending == 0 {
                break;
            }
            if Instant::now() > deadline {
                bail!(
                    "{pending} payments are still under way after {} s: is the service up?",
                    args.wait
                );
            }
            context.pause(Duration::from_millis(200)).await?;
        }
    }
    let mut results = check_invariants(&mut conn).await?;
    if args.ledger {
        let ledger = read_ledger(&settings.payments.gateway_url).await?;
        results.push(reconcile_payments(&mut conn, ledger.entries).await?);
    }
    print_stdout(if args.json {
        serde_json::to_string_pretty(&results)?
    } else {
        render_table(&results)?
    })
    .await?;
    match results
        .iter()
        .filter(|result| !result.violations.is_empty())
        .count()
    {
        0 => Ok(()),
        1 => bail!("1 invariant is violated"),
        n => bail!("{n} invariants are violated"),
    }
}

async fn read_ledger(gateway: &str) -> anyhow::Result<LedgerResponse> {
    let url = format!("{}/ledger", gateway.trim_end_matches('/'));
    let ledger = async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()?;
        client
            .get(&url)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await
    };
    ledger
        .await
        .with_context(|| format!("reading the ledger of the sandbox gateway at {url}"))
}

fn render_table(results: &[InvariantResult]) -> Result<String, std::fmt::Error> {
    let mut table = String::new();
    for InvariantResult {
        invariant,
        violations,
    } in results
    {
        if violations.is_empty() {
            writeln!(table, "ok        {invariant}")?;
            continue;
        }
        writeln!(table, "VIOLATED  {invariant} ({}):", violations.len())?;
        for violation in violations.iter().take(MAX_VIOLATIONS_SHOWN) {
            writeln!(table, "            {violation}")?;
        }
        if violations.len() > MAX_VIOLATIONS_SHOWN {
            writeln!(table, "            … (--json has all of them)")?;
        }
    }
    Ok(table)
}
