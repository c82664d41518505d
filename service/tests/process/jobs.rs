//! `orderly jobs`: dead-lettered jobs, and how an operator requeues or deletes them.

use serde_json::{Value, json};

use crate::support::gateway::start_gateway;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_requeues_dead_lettered_payment() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url)
        .set("ORDERLY__PAYMENT_JOBS__MAX_ATTEMPTS", "1")
        .set("ORDERLY__PAYMENT_JOBS__MIN_RETRY_DURATION", "0s");
    let service = ServiceProcess::start(&orderly).await;
    let faults = async |faults: Value| {
        let put = service.client.put(format!("{gateway_url}/faults"));
        let response = put.json(&faults).send().await.unwrap();
        assert!(response.status().is_success());
    };
    let none = orderly.succeed(&["jobs", "list"]).await;
    assert_eq!(none, "no job is dead-lettered");

    faults(json!({"error_rate": 1.0})).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    let id = order["id"].as_str().unwrap();
    let line = service.process.wait_for_log("job dead-lettered").await;
    assert_eq!((&line["kind"], &line["unique_key"]), (&json!("payment"), &json!(id)));

    let listed = list(&orderly).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["unique_key"], id);
    let amount = &listed[0]["payload"]["amount_minor"];
    assert_eq!(*amount, order["total"]["amount_minor"]);
    assert_eq!(listed[0]["attempts"], 1);
    let table = orderly.succeed(&["jobs", "list"]).await;
    assert!(table.starts_with("ID"), "{table}");
    assert!(table.contains(id), "{table}");

    faults(json!({})).await;
    let job_id = listed[0]["id"].as_str().unwrap();
    let output = orderly.succeed(&["jobs", "requeue", job_id]).await;
    assert_eq!(output, "1 requeued");
    service.wait_for_order_status(&token, &order, "paid").await;
    assert!(list(&orderly).await.is_empty());

    let message = orderly.fail(1, &["jobs", "requeue", job_id]).await;
    assert!(message.contains("is not dead-lettered"), "{message}");
    let none = orderly.succeed(&["jobs", "requeue", "--all"]).await;
    assert_eq!(none, "0 requeued");
    service.stop("TERM").await;
}

async fn list(orderly: &OrderlyCommand) -> Vec<Value> {
    let printed = orderly.succeed(&["jobs", "list", "--json"]).await;
    serde_json::from_str(&printed).unwrap()
}
