//! `orderly check-invariants`: what an operator asks after a bad day.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;

use crate::support::process::Orderly;
use crate::support::served::{Served, gateway, seeded_database};

#[tokio::test(flavor = "multi_thread")]
async fn check_invariants_reports_violations() {
    let database = seeded_database().await;
    let (_gateway, gateway_url) = gateway(&Orderly::new(), &[]).await;
    let orderly = Orderly::on(&database).set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url);
    let served = Served::start(&orderly).await;
    let token = served.customer().await;
    let product = served.product().await;
    let order = served.order(&token, &product).await;
    served.order_reaches(&token, &order, "paid").await;
    served.stop("TERM").await;

    let good = orderly.succeed(&["check-invariants", "--ledger"]).await;
    assert!(good.lines().all(|line| line.starts_with("ok ")), "{good}");
    assert!(good.contains("the gateway took"), "{good}");

    let id = order["id"].as_str().unwrap();
    let mut conn = database.connect().await;
    let forge = format!("UPDATE payments SET charge_id = 'ch_forged' WHERE order_id = '{id}'");
    conn.batch_execute(&forge).await.unwrap();
    orderly.succeed(&["check-invariants"]).await; // the database alone can't tell
    expect_broken(&orderly, "what the gateway took", id).await;

    let lose =
        "UPDATE products SET stock = stock - 1 WHERE id IN (SELECT product_id FROM order_lines)";
    conn.batch_execute(lose).await.unwrap();
    let product = product["id"].as_str().unwrap();
    expect_broken(&orderly, "stock + sold = received", product).await;
    let text = orderly.run(&["check-invariants"]).await;
    assert_eq!(text.code, Some(1));
    assert!(text.stdout.contains("BROKEN  stock"), "{}", text.stdout);
    assert!(text.stderr.contains("a rule is broken"), "{}", text.stderr);
}

async fn expect_broken(orderly: &Orderly, rule: &str, by: &str) {
    let ended = orderly
        .run(&["check-invariants", "--ledger", "--json"])
        .await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let verdicts: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let verdict =
        (verdicts.iter()).find(|one| one["invariant"].as_str().unwrap().starts_with(rule));
    let broken_by = verdict.unwrap()["violations"].to_string();
    assert!(broken_by.contains(by), "{broken_by}");
}
