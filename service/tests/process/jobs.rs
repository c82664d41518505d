//! `orderly jobs`: dead-lettered jobs, and how an operator requeues or deletes them.

use reqwest::Method;
use serde_json::{Value, json};
use xtask::process::Signal;

use crate::support::app::send;
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
    assert_eq!(
        (&line["kind"], &line["key"]),
        (&json!("payment"), &json!(id))
    );

    let listed = list(&orderly).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["key"], id);
    let amount = &listed[0]["payload"]["amount_minor"];
    assert_eq!(*amount, order["total"]["amount_minor"]);
    assert_eq!(listed[0]["attempts"], 1);
    let table = orderly.succeed(&["jobs", "list"]).await;
    assert!(table.starts_with("KIND"), "{table}");
    assert!(table.contains(id), "{table}");

    faults(json!({})).await;
    let key = listed[0]["key"].as_str().unwrap();
    let output = orderly.succeed(&["jobs", "requeue", key]).await;
    assert_eq!(output, "1 requeued");
    service.wait_for_order_status(&token, &order, "paid").await;
    assert!(list(&orderly).await.is_empty());

    let message = orderly.fail(1, &["jobs", "requeue", key]).await;
    assert!(message.contains("is dead-lettered"), "{message}");
    for command in ["list", "requeue", "delete"] {
        let mut arguments = vec!["jobs", command, "--kind", "paymnt"];
        if command != "list" {
            arguments.push("--all");
        }
        let message = orderly.fail(2, &arguments).await;
        let lists_kinds =
            message.contains("[possible values: ") && message.contains("order_expiry");
        assert!(lists_kinds, "{message}");
    }
    let none = orderly.succeed(&["jobs", "requeue", "--all"]).await;
    assert_eq!(none, "0 requeued");
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_dead_lettered_payment_and_order_stays_consistent() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url)
        .set("ORDERLY__PAYMENT_JOBS__MAX_ATTEMPTS", "1")
        .set("ORDERLY__PAYMENT_JOBS__MIN_RETRY_DURATION", "0s");
    let service = ServiceProcess::start(&orderly).await;
    let faults = format!("{gateway_url}/faults");
    let lost_response = json!({"charge_then_reset_rate": 1.0});
    let put = service.client.put(&faults).json(&lost_response);
    assert!(put.send().await.unwrap().status().is_success());
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.process.wait_for_log("job dead-lettered").await;
    let cleared = service.client.delete(&faults).send().await.unwrap();
    assert!(cleared.status().is_success());

    let listed = list(&orderly).await;
    let key = listed[0]["key"].as_str().unwrap();
    let none = orderly
        .succeed(&["jobs", "list", "--kind", "order_expiry"])
        .await;
    assert_eq!(none, "no job is dead-lettered");
    for (arguments, expected) in [
        (
            &["jobs", "delete", "--all", "--kind", "order_expiry"][..],
            "0 deleted",
        ),
        (&["jobs", "delete", key], "1 deleted"),
        (&["jobs", "delete", "--all"], "0 deleted"),
    ] {
        assert_eq!(orderly.succeed(arguments).await, expected);
    }
    let message = orderly.fail(1, &["jobs", "delete", key]).await;
    assert!(message.contains("is dead-lettered"), "{message}");
    orderly.fail(2, &["jobs", "delete"]).await;
    orderly.fail(2, &["jobs", "delete", key, "--all"]).await;

    // The money that the deleted charge took goes back with the cancellation.
    let checked = orderly.run(&["check-invariants"]).await;
    let no_charge = "VIOLATED  a pending order has a charge to come";
    assert!(checked.stdout.contains(no_charge), "{}", checked.stdout);
    let path = format!("/v1/orders/{}/cancel", order["id"].as_str().unwrap());
    let cancel = service.request(Method::POST, &path);
    send(cancel, &token).await.expect(200);
    orderly.succeed(&["check-invariants", "--ledger"]).await;
    service.stop(Signal::TERM).await;
}

async fn list(orderly: &OrderlyCommand) -> Vec<Value> {
    let printed = orderly.succeed(&["jobs", "list", "--json"]).await;
    serde_json::from_str(&printed).unwrap()
}
