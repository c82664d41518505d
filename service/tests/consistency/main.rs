//! What manifests, units, rules, dashboards and documents name exists in the program.
//!
//! Nothing else tells: a variable that the program does not know stops its start only where it is started, a metric
//! that is not there makes an alert that never fires, and a probe of a path that is not there restarts a healthy
//! service for ever.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]
#![expect(unreachable_pub, reason = "support is shared by several test binaries")]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod architecture;
mod ci_commands;
mod cli_output;
mod environment_variables;
mod glossary;
mod landing_page;
mod metrics;
mod migrations;
mod paths;
mod ports;
mod problems;
mod project_files;
mod readme;
mod runbooks;
