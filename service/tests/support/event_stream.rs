//! The events of a test: a Redis Stream of its own, read as a consumer would.

use std::collections::BTreeMap;

use orderly::config::Settings;
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use uuid::Uuid;

use super::eventually::eventually;
use super::fault_proxy::FaultProxy;

/// The stream, and a proxy to its Redis for the service alone.
pub struct EventStream {
    pub proxy: FaultProxy,
    name: String,
    redis: MultiplexedConnection,
}

impl EventStream {
    /// Creates a stream with a unique name.
    pub async fn new() -> Self {
        let url = std::env::var("ORDERLY_TEST_REDIS_URL")
            .expect("ORDERLY_TEST_REDIS_URL is not set: run the tests with `make test`");
        let host = url.trim_start_matches("redis://").trim_end_matches('/');
        let client = redis::Client::open(url.as_str()).unwrap();
        Self {
            proxy: FaultProxy::start(host.to_owned()).await,
            name: format!("test:{}", Uuid::now_v7()),
            redis: client.get_multiplexed_async_connection().await.unwrap(),
        }
    }

    /// Makes a service publish to it, through the proxy.
    pub fn configure(&self, settings: &mut Settings) {
        let url = format!("redis://{}/", self.proxy.address());
        settings.redis.url = Some(url.into());
        settings.events.stream.clone_from(&self.name);
    }

    /// The events, in the order in which they arrived.
    pub async fn events(&self) -> Vec<Value> {
        let mut redis = self.redis.clone();
        let entries: Vec<(String, BTreeMap<String, String>)> = redis::cmd("XRANGE")
            .arg((&self.name, "-", "+"))
            .query_async(&mut redis)
            .await
            .unwrap();
        entries
            .into_iter()
            .map(|(_, fields)| {
                assert_eq!(fields.keys().collect::<Vec<_>>(), ["event"]);
                serde_json::from_str(&fields["event"]).unwrap()
            })
            .collect()
    }

    /// Returns the types of the events of an order, in the sequence in which a consumer
    /// receives them. Delivery is at least once: repeated events are dropped.
    pub async fn event_types_of(&self, order: &Value) -> Vec<String> {
        let mut seen_ids = Vec::new();
        let mut kinds = Vec::new();
        for event in self.events().await {
            if event["subject"] == order["id"] && !seen_ids.contains(&event["id"]) {
                seen_ids.push(event["id"].clone());
                kinds.push(event["type"].as_str().unwrap().to_owned());
            }
        }
        kinds
    }

    /// Waits until a consumer has received exactly these events of the order.
    pub async fn wait_for_events(&self, order: &Value, kinds: &[&str]) {
        eventually(&format!("events {kinds:?}"), async || {
            (self.event_types_of(order).await == kinds).then_some(())
        })
        .await;
    }

    /// Returns the number of entries.
    pub async fn len(&self) -> usize {
        self.events().await.len()
    }
}
