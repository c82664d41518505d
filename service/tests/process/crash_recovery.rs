//! Killed without warning: nothing that was promised is lost, and nobody pays twice.

use reqwest::Client;
use serde_json::{Value, json};
use xtask::process::Signal;

use crate::support::database::TestDatabase;
use crate::support::gateway::start_gateway;
use crate::support::process::{ChildProcess, OrderlyCommand};
use crate::support::service_process::{ServiceProcess, seeded_database};

/// A service whose worker gives a payment up to others after a second.
fn orderly(database: &TestDatabase, gateway_url: &str) -> OrderlyCommand {
    OrderlyCommand::with_database(database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", gateway_url)
        .set("ORDERLY__PAYMENTS__TIMEOUT", "400ms")
        .set("ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD", "300ms")
        .set("ORDERLY__PAYMENT_JOBS__LEASE_DURATION", "1s")
}

async fn ledger(client: &Client, gateway_url: &str) -> Vec<Value> {
    let response = client.get(format!("{gateway_url}/ledger")).send().await;
    let ledger: Value = response.unwrap().json().await.unwrap();
    ledger["entries"].as_array().unwrap().clone()
}

async fn kill(process: ChildProcess) {
    process.signal(Signal::KILL);
    assert_eq!(process.wait().await.code, None, "ended by a signal");
}

/// Starts a service anew, waits until it has paid the order, and checks that it was charged once.
async fn assert_paid_once_after_restart(
    orderly: &OrderlyCommand,
    order: &Value,
    gateway_url: &str,
) {
    let service = ServiceProcess::start(orderly).await;
    let token = service.log_in_as_customer().await;
    service.wait_for_order_status(&token, order, "paid").await;
    let entries = ledger(&service.client, gateway_url).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["kind"], "charge");
    assert_eq!(entries[0]["reference"], order["id"]);
    assert_eq!(entries[0]["amount_minor"], order["total"]["amount_minor"]);
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_once_when_killed_before_charge() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = orderly(&database, &gateway_url);
    let service = ServiceProcess::start(&orderly).await;
    let faults = format!("{gateway_url}/faults");
    let hang = service.client.put(&faults).json(&json!({"hang_rate": 1.0}));
    assert!(hang.send().await.unwrap().status().is_success());
    let token = service.log_in_as_customer().await;
    let order = service
        .place_order(&token, &service.first_product().await)
        .await;
    database
        .wait_for_row_count("jobs WHERE lease_token IS NOT NULL", 1)
        .await;
    kill(service.process).await;
    assert!(ledger(&service.client, &gateway_url).await.is_empty());

    let cleared = service.client.delete(&faults).send().await.unwrap();
    assert!(cleared.status().is_success());
    assert_paid_once_after_restart(&orderly, &order, &gateway_url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_once_when_killed_between_charge_and_commit() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = orderly(&database, &gateway_url);
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    // Nobody can write down a payment: the worker comes to a halt between charge and commit.
    let locked = database.lock_table("payments").await;
    let order = service
        .place_order(&token, &service.first_product().await)
        .await;
    database.wait_for_lock_waiters(1).await;
    assert_eq!(ledger(&service.client, &gateway_url).await.len(), 1);
    kill(service.process).await;
    locked.release().await;
    assert_paid_once_after_restart(&orderly, &order, &gateway_url).await;
}
