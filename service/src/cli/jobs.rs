//! `orderly jobs`: dead-lettered jobs.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use chrono::SecondsFormat;
use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Subcommand};

use super::command::{CommandContext, print_stdout};
use crate::app;
use crate::storage::dead_jobs::{self, DeadJob, DeadJobFilter};
use crate::storage::job_notifier;

/// List, requeue or delete jobs that were dead-lettered after too many attempts.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Subcommand)]
enum JobsCommand {
    /// List the dead-lettered jobs, oldest first
    List {
        /// Only jobs of this kind
        #[arg(long, value_parser = PossibleValuesParser::new(app::job_kinds()))]
        kind: Option<String>,
        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Retry dead-lettered jobs; a second run of a job does no harm
    Requeue(Selection),
    /// Delete dead-lettered jobs: their work is never done
    ///
    /// An order whose charge is deleted stays pending until it is cancelled or expires, and is refunded then. An order
    /// whose order_expiry is deleted never expires. `orderly check-invariants` reports both. A refund that is deleted is
    /// never made: give the money back with the gateway's own tools.
    Delete(Selection),
}

#[derive(clap::Args)]
#[group(skip)]
#[command(group = ArgGroup::new("jobs").args(["key", "all"]).required(true))]
struct Selection {
    /// The key in `orderly jobs list`; the order's id for the jobs of an order
    key: Option<String>,
    /// All dead-lettered jobs
    #[arg(long)]
    all: bool,
    /// Only jobs of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(app::job_kinds()))]
    kind: Option<String>,
}

pub(super) async fn run(args: Args, context: &CommandContext) -> Result<()> {
    context.set_undone("no job was changed");
    let settings = context.settings().await?;
    let database = context.database(&settings)?;
    app::require_compatible_schema(&database).await?;
    let mut conn = database.connection().await?;
    match args.command {
        JobsCommand::List { kind, json, limit } => {
            let dead = dead_jobs::list(&mut conn, kind.as_deref(), limit).await?;
            print_stdout(if json {
                serde_json::to_string_pretty(&dead)?
            } else {
                render_table(&dead)?
            })
            .await
        }
        JobsCommand::Requeue(selection) => {
            let requeued = dead_jobs::requeue(&mut conn, &selection.filter()).await?;
            context.set_undone(format!(
                "{requeued} requeued; the workers find them at their next poll"
            ));
            job_notifier::send(&mut conn).await?;
            selection.report(requeued, "requeued").await
        }
        JobsCommand::Delete(selection) => {
            let deleted = dead_jobs::delete(&mut conn, &selection.filter()).await?;
            selection.report(deleted, "deleted").await
        }
    }
}

impl Selection {
    fn filter(&self) -> DeadJobFilter {
        DeadJobFilter {
            key: self.key.clone(),
            kind: self.kind.clone(),
        }
    }

    async fn report(&self, changed: usize, participle: &str) -> Result<()> {
        match &self.key {
            Some(key) if changed == 0 => {
                bail!("no job with key {key} is dead-lettered; see orderly jobs list")
            }
            _ => print_stdout(format!("{changed} {participle}")).await,
        }
    }
}

fn render_table(dead: &[DeadJob]) -> Result<String, std::fmt::Error> {
    if dead.is_empty() {
        return Ok("no job is dead-lettered".to_owned());
    }
    let mut table = format!(
        "{:12}  {:36}  {:>8}  {:20}  LAST ERROR\n",
        "KIND", "KEY", "ATTEMPTS", "DEAD SINCE"
    );
    for job in dead {
        let dead_since = job
            .dead_at
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        writeln!(
            table,
            "{:12}  {:36}  {:>8}  {:20}  {}",
            job.kind,
            job.key,
            job.attempts,
            dead_since.unwrap_or_default(),
            job.last_error.as_deref().unwrap_or("-"),
        )?;
    }
    Ok(table)
}
