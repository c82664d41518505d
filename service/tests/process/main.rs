//! The real binary, as an operator meets it: exit codes, messages, signals, log lines.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]
#![expect(unreachable_pub, reason = "support is shared by several test binaries")]

#[path = "../support/mod.rs"]
mod support;

mod check_invariants;
mod commands;
mod config_reload;
mod configured_service;
mod crash_recovery;
mod interruption;
mod jobs;
mod logging;
mod metric_series;
mod metrics;
mod migrate;
mod otel_variables;
mod secret_leaks;
mod shutdown;
mod shutdown_phases;
mod startup;
mod trace_propagation;
mod traces;
