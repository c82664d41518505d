//! The events of a test: a Redis Stream of its own, read as a consumer would.

use std::collections::BTreeMap;

use orderly::config::Settings;
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use uuid::Uuid;

use super::door::Door;
use super::eventually::eventually;

/// The stream, and a door to its Redis for the service alone.
pub struct Stream {
    pub door: Door,
    name: String,
    redis: MultiplexedConnection,
}

impl Stream {
    /// One that nobody else writes to.
    pub async fn new() -> Self {
        let url = std::env::var("ORDERLY_TEST_REDIS_URL")
            .expect("ORDERLY_TEST_REDIS_URL is not set: run the tests with `make test`");
        let host = url.trim_start_matches("redis://").trim_end_matches('/');
        let client = redis::Client::open(url.as_str()).unwrap();
        Self {
            door: Door::to(host.to_owned()).await,
            name: format!("test:{}", Uuid::now_v7()),
            redis: client.get_multiplexed_async_connection().await.unwrap(),
        }
    }

    /// Has a service publish to it, through the door.
    pub fn configure(&self, settings: &mut Settings) {
        let url = format!("redis://{}/", self.door.address());
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

    /// What happened to an order, in the order in which a consumer hears of it.
    /// "At least once" allows an event to come again: it drops those it knows.
    pub async fn kinds_of(&self, order: &Value) -> Vec<String> {
        let mut known = Vec::new();
        let mut kinds = Vec::new();
        for event in self.events().await {
            if event["subject"] == order["id"] && !known.contains(&event["id"]) {
                known.push(event["id"].clone());
                kinds.push(event["type"].as_str().unwrap().to_owned());
            }
        }
        kinds
    }

    /// Waits until that is what a consumer has heard of the order.
    pub async fn tells(&self, order: &Value, kinds: &[&str]) {
        eventually(&format!("events {kinds:?}"), async || {
            (self.kinds_of(order).await == kinds).then_some(())
        })
        .await;
    }

    /// How many entries it has.
    pub async fn len(&self) -> usize {
        self.events().await.len()
    }
}
