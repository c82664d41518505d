//! How the service tells what it does: log lines, trace ids and metrics.

pub mod logging;
pub mod metrics;
pub mod trace_id;
