//! `orderly check-invariants`: what an operator asks after a bad day.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;
use xtask::process::Signal;

use crate::support::gateway::start_gateway;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};

#[tokio::test(flavor = "multi_thread")]
async fn check_invariants_reports_violations() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url);
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.wait_for_order_status(&token, &order, "paid").await;
    service.stop(Signal::TERM).await;

    let output = orderly.succeed(&["check-invariants", "--ledger"]).await;
    assert!(
        output.lines().all(|line| line.starts_with("ok ")),
        "{output}"
    );
    assert!(output.contains("the gateway took"), "{output}");

    let id = order["id"].as_str().unwrap();
    let mut conn = database.connect().await;
    let forge = format!("UPDATE payments SET charge_id = 'ch_forged' WHERE order_id = '{id}'");
    conn.batch_execute(&forge).await.unwrap();
    orderly.succeed(&["check-invariants"]).await; // the database alone can't tell
    assert_violation(&orderly, "what the gateway took", id).await;

    let break_stock =
        "UPDATE products SET stock = stock - 1 WHERE id IN (SELECT product_id FROM order_lines)";
    conn.batch_execute(break_stock).await.unwrap();
    let product = product["id"].as_str().unwrap();
    assert_violation(&orderly, "stock + sold = received", product).await;
    let text = orderly.run(&["check-invariants"]).await;
    assert_eq!(text.code, Some(1));
    assert!(text.stdout.contains("VIOLATED  stock"), "{}", text.stdout);
    assert!(
        text.stderr.contains("1 invariant is violated"),
        "{}",
        text.stderr
    );
}

async fn assert_violation(orderly: &OrderlyCommand, invariant: &str, violation: &str) {
    let ended = orderly
        .run(&["check-invariants", "--ledger", "--json"])
        .await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let results: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let result =
        (results.iter()).find(|one| one["invariant"].as_str().unwrap().starts_with(invariant));
    let violations = result.unwrap()["violations"].to_string();
    assert!(violations.contains(violation), "{violations}");
}
