//! The rules about money: once for each key, and never after a refund.

use futures_util::future::{join, join_all};
use reqwest::{Method, StatusCode};
use sandbox_gateway::EntryKind::{Charge, Decline, Refund, Void};
use serde_json::json;

use crate::support::{TestClient, charge_body, kinds, new_order, start};

async fn charge_with_key(client: &TestClient, key: &str, reference: &str) -> StatusCode {
    client.try_charge(key, reference).await.unwrap().0
}

#[tokio::test]
async fn fifty_concurrent_identical_charges_charge_once() {
    let (gateway, client) = start().await;
    let order = new_order();

    let responses = join_all((0..50).map(|_| client.charge(&order, 1250))).await;

    let ledger = gateway.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].reference, order);
    assert_eq!(ledger[0].idempotency_key, order);
    assert_eq!(ledger[0].amount_minor, 1250);
    for (_, charge) in responses {
        assert_eq!(charge["id"], ledger[0].id, "all get the same charge");
    }
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn repeated_charge_returns_first_response() {
    let (gateway, client) = start().await;

    let first = client.charge("order-1", 1250).await;
    let second = client.charge("order-1", 1250).await;

    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(first.1["status"], "succeeded");
    assert_eq!(second, (StatusCode::OK, first.1));
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_key_reused_for_other_amount() {
    let (gateway, client) = start().await;
    client.charge("order-1", 1250).await;

    let (status, _) = client.charge("order-1", 1251).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(kinds(&gateway), [Charge]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_charge_key_reused_for_refund() {
    let (gateway, client) = start().await;
    client.charge("order-1", 1250).await;

    let refund = json!({ "reference": "order-1" });
    let sent = client.send(Method::POST, "/refunds", "order-1", &refund);

    assert_eq!(sent.await.unwrap().0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(kinds(&gateway), [Charge]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_missing_key_and_invalid_body() {
    let (gateway, client) = start().await;
    let wrong = [
        ("", charge_body("order-1", 1250), StatusCode::BAD_REQUEST),
        ("k", charge_body("", 1250), StatusCode::UNPROCESSABLE_ENTITY),
        (
            "k",
            charge_body("order-1", 0),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "k",
            json!({ "reference": "order-1", "amount_minor": 1, "currency": "usd" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "k",
            json!({ "reference": "order-1", "amount_minor": "1", "currency": "EUR" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ];
    for (key, body, expected) in wrong {
        let sent = client.send(Method::POST, "/charges", key, &body);
        let (status, response) = sent.await.unwrap();
        assert_eq!(status, expected, "{body}");
        assert!(response["error"].is_string(), "{response}");
    }
    assert_eq!(kinds(&gateway), []);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn decline_is_stored_for_its_key() {
    let (gateway, client) = start().await;
    let (poor, rich) = (new_order(), new_order());
    let declined = (
        StatusCode::PAYMENT_REQUIRED,
        json!({ "status": "declined", "reason": "insufficient_funds" }),
    );
    client
        .set_faults(json!({ "decline_above_minor": 1000 }))
        .await;

    assert_eq!(client.charge(&poor, 1001).await, declined);
    assert_eq!(client.charge(&rich, 1000).await.0, StatusCode::CREATED);
    client.clear_faults().await;
    assert_eq!(client.charge(&poor, 1001).await, declined);

    assert_eq!(kinds(&gateway), [Decline, Charge]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn second_key_for_same_order_charges_again() {
    let (gateway, client) = start().await;
    for key in ["first", "second"] {
        let status = charge_with_key(&client, key, "order-1").await;
        assert_eq!(status, StatusCode::CREATED);
    }

    let (_, ledger) = client.get("/ledger").await;

    let entries = ledger["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_eq!(entry["kind"], "charge");
        assert_eq!(entry["reference"], "order-1");
        assert_eq!(entry["amount_minor"], 1250);
        assert_eq!(entry["currency"], "EUR");
        assert!(entry["id"].as_str().unwrap().starts_with("ch_"));
        assert!(entry["at"].is_string());
    }

    let (_, refund) = client.refund("order-1").await;
    assert_eq!(refund["amount_minor"], 2500, "a refund returns the sum");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn refund_is_applied_once() {
    let (gateway, client) = start().await;
    let order = new_order();
    let (_, charge) = client.charge(&order, 1250).await;

    let refunds = join_all((0..10).map(|_| client.refund(&order))).await;

    for (status, refund) in refunds {
        assert_eq!(status, StatusCode::OK);
        assert_eq!(refund["status"], "refunded");
        assert_eq!(refund["charge_id"], charge["id"]);
    }
    assert_eq!(kinds(&gateway), [Charge, Refund]);
    assert_eq!(gateway.ledger()[1].amount_minor, 1250);

    let (_, again) = client.charge(&order, 1250).await;
    assert_eq!(again["id"], charge["id"], "the key keeps its response");
    assert_eq!(
        charge_with_key(&client, "new", &order).await,
        StatusCode::CONFLICT,
        "a refunded order accepts no new charge"
    );
    assert_eq!(kinds(&gateway), [Charge, Refund]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn refund_before_charge_voids_it() {
    let (gateway, client) = start().await;
    let voided = json!({ "status": "voided" });

    let expected = (StatusCode::OK, voided.clone());
    assert_eq!(client.refund("order-1").await, expected);
    let rejected = (StatusCode::CONFLICT, voided);
    assert_eq!(client.charge("order-1", 1250).await, rejected);
    assert_eq!(client.refund("order-1").await, expected);

    assert_eq!(kinds(&gateway), [Void]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn concurrent_charge_and_refund_balance_to_zero() {
    let (gateway, client) = start().await;
    let orders: Vec<_> = (0..50).map(|_| new_order()).collect();

    let races = orders
        .iter()
        .map(|order| join(client.charge(order, 1250), client.refund(order)));
    for ((charged, charge), (_, refund)) in join_all(races).await {
        if charged == StatusCode::CONFLICT {
            assert_eq!(refund["status"], "voided");
        } else {
            assert_eq!(refund["charge_id"], charge["id"]);
        }
    }

    for order in orders {
        let taken: i64 = gateway
            .ledger()
            .iter()
            .filter(|entry| entry.reference == order)
            .map(|entry| match entry.kind {
                Charge => entry.amount_minor,
                Refund => -entry.amount_minor,
                Void | Decline => 0,
            })
            .sum();
        assert_eq!(taken, 0, "order {order}");
    }
    gateway.stop().await.unwrap();
}
