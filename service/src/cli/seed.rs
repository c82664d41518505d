//! `orderly seed`: demo data.

use anyhow::bail;

use crate::app;
use crate::config::{self, ConfigFlags, Environment};
use crate::telemetry::metrics::Metrics;
use crate::usecases::seed;

/// Add demo users and 1,000 demo products. Refused in production.
///
/// The users are admin@example.com / orderly-demo-admin and customer@example.com / orderly-demo-customer. What is
/// there already stays as it is.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, flags: &ConfigFlags) -> anyhow::Result<()> {
    let settings = config::load(flags)?.settings;
    if settings.environment == Environment::Production {
        bail!("ORDERLY_ENV is production: demo users with known passwords have no place there");
    }
    let services =
        app::build_services(&settings, &Metrics::new()?, app::build_database(&settings)?)?;
    app::require_current_schema(&services.database).await?;
    let (users, products) = seed::seed(&services).await?;
    super::print_stdout(&format!(
        "users: {} added, {} there already\nproducts: {} added, {} there already",
        users.added, users.existing, products.added, products.existing
    ))
}
