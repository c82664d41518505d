//! What is logged, and how it looks.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::check::expects;
use super::section::section;

section! {
    /// Log lines on standard output.
    pub struct LogConfig {
        /// `pretty` for people, `json` for collectors.
        format: LogFormat = LogFormat::Pretty;
        /// What is logged, as a `tracing` filter: `info`, or `warn,orderly=debug`.
        filter: String = "info,actix_server=warn,actix_web_prom=error".into(),
            expects("a tracing filter such as info or warn,orderly=debug", is_filter);
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people: coloured, one event over a few words.
    Pretty,
    /// For collectors: one JSON object a line.
    Json,
}

/// The parser skips empty directives, and takes a misspelt level for the name of a module.
fn is_filter(text: &str) -> bool {
    let is_exact = |directive: &str| {
        let has_target = directive.contains(['=', '[', ']', '{', '}']);
        !directive.is_empty()
            && directive.trim() == directive
            && (has_target || directive.parse::<LevelFilter>().is_ok())
    };
    text.split(',').all(is_exact) && EnvFilter::try_new(text).is_ok()
}
