//! Orders over HTTP, by clients who each wait for their answer.
//!
//! Written to the socket by hand, and by one thread: the client shares the machine with the
//! service, and `pgbench` is as lean.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;
use uuid::Uuid;

use super::report::TurnResult;
use crate::api::ApiClient;
use crate::recorder::histogram;

const PASSWORD: &str = "orderly-demo-customer";
const PRODUCTS: u32 = 1000;

/// Customers who are logged in.
pub struct OrderClients {
    address: String,
    tokens: Vec<String>,
}

impl OrderClients {
    pub async fn log_in(url: &str, clients: u32) -> anyhow::Result<Self> {
        let address = url
            .strip_prefix("http://")
            .context("--url must begin with http://")?;
        let api = ApiClient::new(url, Duration::from_secs(30))?;
        let mut tokens = Vec::new();
        for number in 1..=clients {
            let session = api
                .log_in(&format!("bench-{number}@example.com"), PASSWORD)
                .await;
            match session {
                Ok(session) => tokens.push(session.access_token),
                Err(error) => bail!("logging in customer {number}: {:?}", error.outcome),
            }
        }
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            tokens,
        })
    }

    /// Each customer places one order after the other.
    pub async fn place_orders(&self, turn: Duration) -> anyhow::Result<TurnResult> {
        let (address, tokens) = (self.address.clone(), self.tokens.clone());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let started_at = Instant::now();
        let placing = place_all_until(address, tokens, started_at + turn);
        let latency = spawn_blocking(move || runtime.block_on(placing)).await??;
        let orders = latency.len();
        Ok(TurnResult {
            orders,
            per_second: orders as f64 / started_at.elapsed().as_secs_f64(),
            mean_us: latency.mean(),
            p99_us: Some(latency.value_at_quantile(0.99)),
            ..TurnResult::default()
        })
    }
}

async fn place_all_until(
    address: String,
    tokens: Vec<String>,
    deadline: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut tasks = JoinSet::new();
    for token in tokens {
        let client = OrderClient {
            stream: BufReader::new(TcpStream::connect(&address).await?),
            headers: format!("host: {address}\r\nauthorization: Bearer {token}\r\n"),
        };
        tasks.spawn(client.place_orders_until(deadline));
    }
    let mut latency = histogram(3);
    while let Some(ended) = tasks.join_next().await {
        latency.add(ended??)?;
    }
    Ok(latency)
}

struct OrderClient {
    stream: BufReader<TcpStream>,
    headers: String,
}

impl OrderClient {
    async fn place_orders_until(mut self, deadline: Instant) -> anyhow::Result<Histogram<u64>> {
        self.stream.get_ref().set_nodelay(true)?;
        let mut latency = histogram(3);
        loop {
            let started_at = Instant::now();
            if started_at >= deadline {
                return Ok(latency);
            }
            self.place_order().await?;
            latency.saturating_record(started_at.elapsed().as_micros() as u64);
        }
    }

    async fn place_order(&mut self) -> anyhow::Result<()> {
        let product = rand::random_range(1..=PRODUCTS);
        let body = format!(
            r#"{{"lines":[{{"product_id":"00000000-0000-7000-8000-{product:012}","quantity":1}}]}}"#
        );
        let request = format!(
            "POST /v1/orders HTTP/1.1\r\n{}idempotency-key: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.headers,
            Uuid::now_v7(),
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;

        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let is_created = line.starts_with("HTTP/1.1 201 ");
        let (status, mut length) = (line.trim().to_owned(), 0);
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                bail!("the service closed the connection after {status:?}");
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        if !is_created {
            bail!(
                "an order was rejected with {status}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        Ok(())
    }
}
