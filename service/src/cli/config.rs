//! `orderly config`: what holds, and why.

use std::fmt::Write;

use serde_json::{Value, json};

use super::command::{CommandContext, print_stdout};
use crate::config::{self, ConfigEntry};

/// Show every setting, its value and which layer it came from; secrets are masked.
///
/// Reads exactly what `serve` would read, and fails with the same message (exit code 78), so it also serves to check a
/// configuration before it is rolled out.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print a JSON array of {key, value, origin}, for scripts
    #[arg(long)]
    json: bool,

    /// Print a JSON array of every setting there is, {variable, file_variable, key, kind, default, allowed, secret, doc}
    ///
    /// What holds is not read for it.
    #[arg(long, conflicts_with = "json")]
    schema: bool,
}

pub(super) async fn run(args: Args, context: &CommandContext) -> anyhow::Result<()> {
    if args.schema {
        return print_stdout(serde_json::to_string_pretty(&config::schema())?).await;
    }
    let loaded = context.config().await?;
    let entries = loaded.entries();
    print_stdout(if args.json {
        render_json(&entries)?
    } else {
        render_table(&entries, &loaded.ignored_variables)?
    })
    .await
}

fn render_json(entries: &[ConfigEntry]) -> serde_json::Result<String> {
    let entries: Vec<Value> = (entries.iter())
        .map(|entry| json!({ "key": entry.key, "value": entry.value, "origin": entry.origin.to_string() }))
        .collect();
    serde_json::to_string_pretty(&entries)
}

fn render_table(entries: &[ConfigEntry], ignored: &[String]) -> Result<String, std::fmt::Error> {
    let rows: Vec<(&str, String, String)> = (entries.iter())
        .map(|entry| {
            (
                entry.key.as_str(),
                display_value(&entry.value),
                entry.origin.to_string(),
            )
        })
        .collect();
    let key_width = rows
        .iter()
        .map(|(key, ..)| key.len())
        .max()
        .unwrap_or_default();
    let value_width = rows
        .iter()
        .map(|(_, value, _)| value.len())
        .max()
        .unwrap_or_default();
    let mut table = format!("{:key_width$}  {:value_width$}  ORIGIN\n", "KEY", "VALUE");
    for (key, value, origin) in rows {
        writeln!(table, "{key:key_width$}  {value:value_width$}  {origin}")?;
    }
    if !ignored.is_empty() {
        writeln!(table, "\nIgnored: {}", ignored.join(", "))?;
    }
    Ok(table)
}

fn display_value(value: &Value) -> String {
    match value {
        Value::Null => "(unset)".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
