//! `pgbench` and `psql`, which find the server in the environment.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::report::TurnResult;

/// The programs, and the folder of the scripts.
pub struct Pgbench {
    bin: PathBuf,
    scripts: PathBuf,
}

/// Variables of the script: texts that only the service can write.
pub struct ScriptVariables(Vec<(&'static str, String)>);

impl Pgbench {
    pub fn new(bin: &Path, scripts: &Path) -> Self {
        Self {
            bin: bin.to_owned(),
            scripts: scripts.to_owned(),
        }
    }

    pub async fn run_file(&self, name: &str) -> anyhow::Result<()> {
        let file = self.scripts.join(name);
        self.psql(&["-f", &file.to_string_lossy()]).await.map(drop)
    }

    /// The one value that the query returns.
    pub async fn query(&self, query: &str) -> anyhow::Result<String> {
        self.psql(&["-c", query]).await
    }

    /// What the service has just written for an order of the benchmark.
    pub async fn read_variables(&self) -> anyhow::Result<ScriptVariables> {
        let mut variables = Vec::new();
        for (variable, query) in [
            (
                "fingerprint",
                "SELECT fingerprint FROM idempotency_keys LIMIT 1",
            ),
            (
                "response_body",
                "SELECT response_body FROM idempotency_keys LIMIT 1",
            ),
            ("now", "SELECT created_at FROM idempotency_keys LIMIT 1"),
            ("expires", "SELECT expires_at FROM idempotency_keys LIMIT 1"),
            ("total", "SELECT total_minor FROM orders LIMIT 1"),
            ("currency", "SELECT currency FROM orders LIMIT 1"),
            ("status", "SELECT status FROM orders LIMIT 1"),
            ("prices", "SELECT ARRAY[total_minor] FROM orders LIMIT 1"),
            // A relay may have published it already; then a text that is as long stands in for it.
            (
                "event",
                "SELECT coalesce((SELECT data FROM outbox LIMIT 1), (SELECT left(response_body, 256) FROM idempotency_keys LIMIT 1))",
            ),
            (
                "kind",
                "SELECT coalesce((SELECT kind FROM outbox LIMIT 1), 'order.placed')",
            ),
        ] {
            let text = self.query(query).await?;
            if text.is_empty() {
                bail!("the service has written no order: {query}");
            }
            variables.push((variable, text));
        }
        for (variable, text) in [
            ("quantities", "{1}"),
            ("wait", "2000ms"),
            (
                "charge",
                r#"{"operation": "charge", "order_id": "01920000-0000-7000-8000-000000000000", "amount_minor": 1250, "currency": "EUR"}"#,
            ),
            (
                "expiry",
                r#"{"order_id": "01920000-0000-7000-8000-000000000000"}"#,
            ),
            ("payment_window_ms", "86400000"),
            (
                "trace",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            ),
        ] {
            variables.push((variable, text.to_owned()));
        }
        Ok(ScriptVariables(variables))
    }

    /// So many clients place one order after the other.
    pub async fn place_orders(
        &self,
        variables: &ScriptVariables,
        clients: u32,
        turn: Duration,
    ) -> anyhow::Result<TurnResult> {
        // The first half of a UUIDv7 (RFC 9562, section 5.7): the time in ms, the version, and noise.
        let ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let stamp = format!("{ms:012x}7000");
        let mut command = Command::new(self.bin.join("pgbench"));
        command.args(["--no-vacuum", "--protocol=prepared", "--define=n=0"]);
        command.arg(format!("--define=stamp={stamp}"));
        for (variable, text) in &variables.0 {
            command.arg(format!("--define={variable}={text}"));
        }
        command.arg(format!("--client={clients}")).arg("--jobs=2");
        command.arg(format!("--time={}", turn.as_secs()));
        command
            .arg("--file")
            .arg(self.scripts.join("place_order.sql"));
        let output_text = output(&mut command).await?;
        let find = |start: &str, end: &str| -> anyhow::Result<f64> {
            let line = output_text
                .lines()
                .find_map(|line| line.strip_prefix(start));
            let value = line.and_then(|line| line.split(end).next()?.trim().parse().ok());
            value.with_context(|| format!("pgbench did not print {start:?}: {output_text}"))
        };
        Ok(TurnResult {
            orders: find("number of transactions actually processed: ", "/")? as u64,
            per_second: find("tps = ", " ")?,
            mean_us: find("latency average = ", " ms")? * 1e3,
            ..TurnResult::default()
        })
    }

    async fn psql(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.bin.join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(arguments);
        Ok(output(&mut command).await?.trim().to_owned())
    }
}

async fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let finished = command
        .output()
        .await
        .with_context(|| format!("{program} can't be run"))?;
    if !finished.status.success() {
        bail!(
            "{program} failed: {}",
            String::from_utf8_lossy(&finished.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
}
