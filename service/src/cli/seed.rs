//! `orderly seed`: demo data.

use anyhow::bail;

use super::command::{CommandContext, print_stdout};
use crate::app;
use crate::config::Environment;
use crate::telemetry::metrics::Metrics;
use crate::usecases::seed;

/// Add demo users and 1,000 demo products. Refused in production.
///
/// The users are admin@example.com / orderly-demo-admin and customer@example.com / orderly-demo-customer. What is
/// there already stays as it is.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &CommandContext) -> anyhow::Result<()> {
    context.set_undone(
        "users that were added stay, and no product was added; run `orderly seed` again",
    );
    let settings = context.settings().await?;
    if settings.environment == Environment::Production {
        bail!("ORDERLY_ENV is production: demo users with known passwords have no place there");
    }
    let services = app::build_services(&settings, &Metrics::new()?, context.database(&settings)?)?;
    app::require_compatible_schema(&services.database).await?;
    let (users, products) = seed::seed(&services).await?;
    print_stdout(format!(
        "users: {} added, {} there already\nproducts: {} added, {} there already",
        users.added, users.existing, products.added, products.existing
    ))
    .await
}
