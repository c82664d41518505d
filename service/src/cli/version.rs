//! `orderly version`: which build this is.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

/// What `--version` prints after the name.
pub(super) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("ORDERLY_BUILT_COMMIT"),
    ")"
);

/// Show version, commit, build date, compiler and target.
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
    commit: &'static str,
    build_date: String,
    rustc: &'static str,
    target: &'static str,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("ORDERLY_BUILT_COMMIT"),
        build_date: build_date(),
        rustc: env!("ORDERLY_BUILT_RUSTC"),
        target: env!("ORDERLY_BUILT_TARGET"),
    };
    if args.json {
        return super::print_stdout(&serde_json::to_string_pretty(&build)?);
    }
    super::print_stdout(&format!(
        "orderly     {}
commit      {}
build date  {}
rustc       {}
target      {}",
        build.version, build.commit, build.build_date, build.rustc, build.target
    ))
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
