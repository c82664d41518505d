//! `orderly migrate`: the schema.

use crate::app;
use crate::config::{self, ConfigFlags};
use crate::storage::migrations;

/// Bring the database's schema up to date.
///
/// Applies the migrations that are missing, each in a transaction; they are part of this binary. Two at once do not
/// get in each other's way, and a second run changes nothing.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, flags: &ConfigFlags) -> anyhow::Result<()> {
    let settings = config::load(flags)?.settings;
    let conn = app::build_database(&settings)?
        .dedicated_connection()
        .await?;
    let applied = migrations::apply(conn).await?;
    super::print_stdout(&match applied.as_slice() {
        [] => "the schema is up to date".to_owned(),
        versions => format!("applied {}", versions.join(", ")),
    })
}
