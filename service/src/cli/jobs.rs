//! `orderly jobs`: dead-lettered payments.

use std::fmt::Write as _;

use anyhow::bail;
use chrono::SecondsFormat;
use clap::Subcommand;
use uuid::Uuid;

use crate::app;
use crate::config::{self, ConfigFlags};
use crate::domain::ids::OrderId;
use crate::storage::dead_jobs::{self, DeadJob};
use crate::storage::job_notifier;

/// List payments that were dead-lettered after too many attempts, or requeue them.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Subcommand)]
enum JobsCommand {
    /// List the dead-lettered payments, oldest first
    List {
        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Retry dead-lettered payments; charging twice is impossible, the order's id is the idempotency key
    Requeue {
        /// The order whose payment to retry
        #[arg(required_unless_present = "all")]
        order_id: Option<Uuid>,
        /// All of them
        #[arg(long, conflicts_with = "order_id")]
        all: bool,
    },
}

pub(super) async fn run(args: Args, flags: &ConfigFlags) -> anyhow::Result<()> {
    let settings = config::load(flags)?.settings;
    let database = app::build_database(&settings)?;
    app::require_current_schema(&database).await?;
    let mut conn = database.connection().await?;
    match args.command {
        JobsCommand::List { json, limit } => {
            let dead = dead_jobs::list(&mut conn, limit).await?;
            super::print_stdout(&if json {
                serde_json::to_string_pretty(&dead)?
            } else {
                render_table(&dead)?
            })
        }
        JobsCommand::Requeue { order_id, .. } => {
            let requeued = dead_jobs::requeue(&mut conn, order_id.map(OrderId)).await?;
            job_notifier::send(&mut conn).await?;
            match (requeued, order_id) {
                (0, Some(id)) => {
                    bail!("no payment of order {id} is dead-lettered; see orderly jobs list")
                }
                (n, _) => super::print_stdout(&format!("{n} requeued")),
            }
        }
    }
}

fn render_table(dead: &[DeadJob]) -> Result<String, std::fmt::Error> {
    if dead.is_empty() {
        return Ok("no payment is dead-lettered".to_owned());
    }
    let mut table = format!(
        "{:36}  {:6}  {:>14}  {:>8}  {:20}  LAST ERROR\n",
        "ORDER", "KIND", "AMOUNT (MINOR)", "ATTEMPTS", "DEAD SINCE"
    );
    for job in dead {
        let amount = format!("{} {}", job.amount_minor, job.currency);
        let dead_since = job
            .dead_at
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        writeln!(
            table,
            "{:36}  {:6}  {amount:>14}  {:>8}  {:20}  {}",
            job.order_id,
            job.kind,
            job.attempts,
            dead_since.unwrap_or_default(),
            job.last_error.as_deref().unwrap_or("-"),
        )?;
    }
    Ok(table)
}
