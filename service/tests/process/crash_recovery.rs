//! Killed without warning: nothing that was promised is lost, and nobody pays twice.

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::process::{Orderly, Process, folder};
use crate::support::served::{Served, gateway, seeded_database};

/// A service whose worker gives a payment up to others after a second.
fn orderly(database: &TestDatabase, gateway_url: &str) -> Orderly {
    Orderly::on(database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", gateway_url)
        .set("ORDERLY__PAYMENTS__TIMEOUT", "400ms")
        .set("ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD", "300ms")
        .set("ORDERLY__PAYMENTS__LEASE_DURATION", "1s")
}

async fn ledger(client: &Client, gateway_url: &str) -> Vec<Value> {
    let answer = client.get(format!("{gateway_url}/ledger")).send().await;
    let ledger: Value = answer.unwrap().json().await.unwrap();
    ledger["entries"].as_array().unwrap().clone()
}

async fn kill(process: Process) {
    process.signal("KILL");
    assert_eq!(process.ended().await.code, None, "ended by a signal");
}

/// Starts a service anew, waits until it has paid the order, and checks that it was charged once.
async fn is_paid_once_by_another(orderly: &Orderly, order: &Value, gateway_url: &str) {
    let served = Served::start(orderly).await;
    let token = served.customer().await;
    served.order_reaches(&token, order, "paid").await;
    let entries = ledger(&served.client, gateway_url).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["kind"], "charge");
    assert_eq!(entries[0]["reference"], order["id"]);
    assert_eq!(entries[0]["amount_minor"], order["total"]["amount_minor"]);
    served.stop("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_once_when_killed_before_charge() {
    let database = seeded_database().await;
    let (_gateway, gateway_url) = gateway(&Orderly::new(), &[]).await;
    let orderly = orderly(&database, &gateway_url);
    let served = Served::start(&orderly).await;
    let faults = format!("{gateway_url}/faults");
    let hang = served.client.put(&faults).json(&json!({"hang_rate": 1.0}));
    assert!(hang.send().await.unwrap().status().is_success());
    let token = served.customer().await;
    let order = served.order(&token, &served.product().await).await;
    database
        .rows_become("payment_jobs WHERE lease_token IS NOT NULL", 1)
        .await;
    kill(served.process).await;
    assert!(ledger(&served.client, &gateway_url).await.is_empty());

    let cleared = served.client.delete(&faults).send().await.unwrap();
    assert!(cleared.status().is_success());
    is_paid_once_by_another(&orderly, &order, &gateway_url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_once_when_killed_between_charge_and_commit() {
    let database = seeded_database().await;
    let (_gateway, gateway_url) = gateway(&Orderly::new(), &[]).await;
    let orderly = orderly(&database, &gateway_url);
    let served = Served::start(&orderly).await;
    let token = served.customer().await;
    // Nobody can write down a payment: the worker comes to a halt between charge and commit.
    let locked = database.lock_table("payments").await;
    let order = served.order(&token, &served.product().await).await;
    database.sessions_wait_for_a_lock(1).await;
    assert_eq!(ledger(&served.client, &gateway_url).await.len(), 1);
    kill(served.process).await;
    locked.release().await;
    is_paid_once_by_another(&orderly, &order, &gateway_url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandbox_gateway_keeps_ledger_after_kill() {
    let file = folder().join("ledger_over_a_kill.json");
    if file.exists() {
        std::fs::remove_file(&file).unwrap();
    }
    let arguments = ["--ledger", file.to_str().unwrap()];
    let client = Client::builder().no_proxy().build().unwrap();
    let charge = async |gateway_url: &str| {
        let request = client
            .post(format!("{gateway_url}/charges"))
            .header("idempotency-key", "one")
            .json(&json!({
                "reference": "0190c3a8-0000-7000-8000-000000000001", "amount_minor": 250, "currency": "EUR"
            }));
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let (process, url) = gateway(&Orderly::new(), &arguments).await;
    let (first, charged) = charge(&url).await;
    kill(process).await;

    let (_process, url) = gateway(&Orderly::new(), &arguments).await;
    let (second, again) = charge(&url).await;
    assert_eq!((first, second), (201, 200));
    assert_eq!(charged["id"], again["id"]);
    assert_eq!(ledger(&client, &url).await.len(), 1);
}
