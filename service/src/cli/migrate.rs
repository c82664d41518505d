//! `orderly migrate`: the schema.

use std::sync::Mutex;
use std::time::Duration;

use super::command::{CommandContext, print_stderr, print_stdout};
use crate::resilience::mutex::lock;
use crate::storage::migrations::MIGRATIONS;
use crate::storage::migrations::progress::MigrationEvent;
use crate::storage::migrations::runner::{self, AppliedMigrations, MigrationOptions};

/// Bring the database's schema up to date.
///
/// Applies the missing migrations, which are part of this binary, each in a transaction. A migration that gets no lock
/// within 1 s is rolled back and retried, so that customers do not wait behind it. A second `orderly migrate` waits
/// for the first one; a further run changes nothing. A newer schema that serves this version is left as it is.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Time for which a migration is retried that gets no lock, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    retry_for: u64,
}

const NOTHING_APPLIED: &str = "no migration was applied; run `orderly migrate` again";

pub(super) async fn run(args: Args, context: &CommandContext) -> anyhow::Result<()> {
    context.set_undone(NOTHING_APPLIED);
    let settings = context.settings().await?;
    let mut session = context.database(&settings)?.migration_session().await?;
    let progress = Mutex::new(Progress::default());
    let on_event = |event: MigrationEvent| {
        context.set_undone(lock(&progress).record(&event));
        print_stderr(&event.to_string());
    };
    let options = MigrationOptions {
        retry_for: Duration::from_secs(args.retry_for),
        stop: context.stop_token(),
        on_event: &on_event,
    };
    let result = runner::apply(&mut session, MIGRATIONS, options).await?;
    print_stdout(summarize(&result)).await
}

/// Counts migrations for the message after an interruption.
#[derive(Default)]
struct Progress {
    planned: usize,
    applied: usize,
}

impl Progress {
    /// Returns what an interruption leaves undone after this event.
    fn record(&mut self, event: &MigrationEvent) -> String {
        match event {
            MigrationEvent::Planned(count) => self.planned = *count,
            MigrationEvent::Applied { .. } => self.applied += 1,
            MigrationEvent::Waiting { .. } | MigrationEvent::Retrying { .. } => {}
        }
        if self.planned == 0 {
            return NOTHING_APPLIED.to_owned();
        }
        let Self { planned, applied } = self;
        format!(
            "{applied} of {planned} migrations were applied, a started one was cancelled; run `orderly migrate` again"
        )
    }
}

fn summarize(AppliedMigrations { applied, newer }: &AppliedMigrations) -> String {
    let summary = match applied.as_slice() {
        [] => "the schema is up to date".to_owned(),
        versions => format!("applied {}", versions.join(", ")),
    };
    match newer.as_slice() {
        [] => summary,
        newer => format!(
            "{summary}; a newer version of orderly applied {}, whose schema serves this version as well",
            newer.join(", ")
        ),
    }
}
