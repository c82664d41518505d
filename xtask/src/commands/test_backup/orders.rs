//! Orders, placed one after the other while a backup is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Value, json};
use xtask::http::send_json;
use xtask::process::wait_until;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client that orders until it is stopped.
pub(super) struct OrderLoad {
    shared: Arc<Shared>,
    client: JoinHandle<anyhow::Result<()>>,
}

#[derive(Default)]
struct Shared {
    placed: AtomicU64,
    is_stopped: AtomicBool,
}

impl OrderLoad {
    /// Logs in and starts to order.
    pub(super) fn start(port: u16) -> anyhow::Result<Self> {
        let customer =
            json!({"email": "customer@example.com", "password": "orderly-demo-customer"});
        let session = send_json(port, "/v1/sessions", &[], &customer.to_string())?;
        let token = text(&session["access_token"])?;
        let products = send_json(port, "/v1/products?limit=1", &[], "")?;
        let product = text(find_id(&products).context("there is no product")?)?;
        let body = json!({"lines": [{"product_id": product, "quantity": 1}]}).to_string();
        let shared = Arc::<Shared>::default();
        let running = Arc::clone(&shared);
        let client = thread::spawn(move || {
            let mut number = 0;
            while !running.is_stopped.load(Ordering::Relaxed) {
                number += 1;
                let headers = [
                    format!("Authorization: Bearer {token}"),
                    format!("Idempotency-Key: backup-{number}"),
                ];
                send_json(port, "/v1/orders", &headers, &body)?;
                running.placed.store(number, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self { shared, client })
    }

    /// Waits until that many more orders are placed.
    pub(super) fn wait_for(&self, number: u64) -> anyhow::Result<()> {
        let placed = || self.shared.placed.load(Ordering::Relaxed);
        let wanted = placed() + number;
        let is_over = || self.client.is_finished() || placed() >= wanted;
        let is_in_time = wait_until(TIMEOUT, || Ok(is_over()))?;
        // The error of an order that failed is that of `stop`.
        ensure!(is_in_time, "fewer than {number} orders in a minute");
        Ok(())
    }

    /// Ends with the order that is being placed.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        self.client
            .join()
            .map_err(|_| anyhow!("the client panicked"))?
    }
}

/// Returns the first identifier in a list.
fn find_id(list: &Value) -> Option<&Value> {
    list.as_object()?
        .values()
        .find_map(|value| value.get(0)?.get("id"))
}

fn text(value: &Value) -> anyhow::Result<String> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("no text: {value}"),
    }
}
