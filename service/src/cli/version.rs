//! `orderly version`: which build this is.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::command::print_stdout;
use crate::storage::migrations;

/// What `--version` prints after the name.
pub(super) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("ORDERLY_BUILT_COMMIT"),
    ")"
);

/// Show version, schema version, commit, build date, compiler and target.
///
/// What the build could not find out is `unknown`. The date is SOURCE_DATE_EPOCH of the build, or else the commit's,
/// so that the same source gives the same binary.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct BuildInfo {
    version: &'static str,
    schema_version: String,
    commit: &'static str,
    build_date: String,
    rustc: &'static str,
    target: &'static str,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        schema_version: migrations::schema_version(),
        commit: env!("ORDERLY_BUILT_COMMIT"),
        build_date: build_date(),
        rustc: env!("ORDERLY_BUILT_RUSTC"),
        target: env!("ORDERLY_BUILT_TARGET"),
    };
    if args.json {
        return print_stdout(serde_json::to_string_pretty(&build)?).await;
    }
    print_stdout(format!(
        "orderly     {}
schema      {}
commit      {}
build date  {}
rustc       {}
target      {}",
        build.version,
        build.schema_version,
        build.commit,
        build.build_date,
        build.rustc,
        build.target
    ))
    .await
}

/// RFC 3339, UTC.
fn build_date() -> String {
    (env!("ORDERLY_BUILT_EPOCH_SECONDS").parse().ok())
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .map_or_else(
            || "unknown".into(),
            |time| time.to_rfc3339_opts(SecondsFormat::Secs, true),
        )
}
