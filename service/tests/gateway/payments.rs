//! The rules about money: once for each key, and never after a refund.

use futures_util::future::{join, join_all};
use orderly::payments::sandbox::EntryKind::{Charge, Decline, Refund, Void};
use orderly::payments::{ChargeOutcome, GatewayError, RefundOutcome};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{call, charge_id, clear_faults, kinds, lenient_client, set_faults, start};

fn charge_body(reference: &str) -> Value {
    json!({ "reference": reference, "amount_minor": 1250, "currency": "EUR" })
}

#[tokio::test]
async fn fifty_concurrent_identical_charges_charge_once() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();

    let outcomes = join_all((0..50).map(|_| client.charge(order, 1250, "EUR"))).await;

    let mut ids: Vec<_> = outcomes
        .into_iter()
        .map(|o| charge_id(o.unwrap()))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "everyone hears of the same charge");
    let ledger = gateway.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].id, ids[0]);
    assert_eq!(ledger[0].reference, order.to_string());
    assert_eq!(ledger[0].idempotency_key, order.to_string());
    assert_eq!(ledger[0].amount_minor, 1250);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn repeated_charge_returns_first_response() {
    let gateway = start().await;
    let body = charge_body("order-1");

    let first = call(
        &gateway,
        Method::POST,
        "/charges",
        Some("k"),
        Some(body.clone()),
    )
    .await;
    let second = call(&gateway, Method::POST, "/charges", Some("k"), Some(body)).await;

    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(first.1["status"], "succeeded");
    assert_eq!(second, (StatusCode::OK, first.1));
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_key_reused_for_other_amount() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();
    client.charge(order, 1250, "EUR").await.unwrap();

    let error = client.charge(order, 1251, "EUR").await.unwrap_err();

    assert!(!error.is_transient());
    assert!(
        matches!(error, GatewayError::Permanent { status: 422, .. }),
        "{error:?}"
    );
    assert_eq!(kinds(&gateway), [Charge]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_charge_key_reused_for_refund() {
    let gateway = start().await;
    let refund = Some(json!({ "reference": "order-1" }));
    call(
        &gateway,
        Method::POST,
        "/charges",
        Some("k"),
        Some(charge_body("order-1")),
    )
    .await;

    let (status, _) = call(&gateway, Method::POST, "/refunds", Some("k"), refund).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(kinds(&gateway), [Charge]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_missing_key_and_invalid_body() {
    let gateway = start().await;
    let wrong = [
        (None, charge_body("order-1"), StatusCode::BAD_REQUEST),
        (Some("k"), charge_body(""), StatusCode::UNPROCESSABLE_ENTITY),
        (
            Some("k"),
            json!({ "reference": "order-1", "amount_minor": 0, "currency": "EUR" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            Some("k"),
            json!({ "reference": "order-1", "amount_minor": 1, "currency": "usd" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            Some("k"),
            json!({ "reference": "order-1", "amount_minor": "1", "currency": "EUR" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ];
    for (key, body, expected) in wrong {
        let (status, response) =
            call(&gateway, Method::POST, "/charges", key, Some(body.clone())).await;
        assert_eq!(status, expected, "{body}");
        assert!(response["error"].is_string(), "{response}");
    }
    assert_eq!(kinds(&gateway), []);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn decline_is_stored_for_its_key() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let (poor, rich) = (Uuid::new_v4(), Uuid::new_v4());
    let declined = ChargeOutcome::Declined {
        reason: "insufficient_funds".to_owned(),
    };
    set_faults(&gateway, json!({ "decline_above_minor": 1000 })).await;

    assert_eq!(client.charge(poor, 1001, "EUR").await.unwrap(), declined);
    charge_id(client.charge(rich, 1000, "EUR").await.unwrap());
    clear_faults(&gateway).await;
    assert_eq!(client.charge(poor, 1001, "EUR").await.unwrap(), declined);

    assert_eq!(kinds(&gateway), [Decline, Charge]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn second_key_for_same_order_charges_again() {
    let gateway = start().await;
    for key in ["first", "second"] {
        let body = Some(charge_body("order-1"));
        let (status, _) = call(&gateway, Method::POST, "/charges", Some(key), body).await;
        assert_eq!(status, StatusCode::CREATED);
    }

    let (_, ledger) = call(&gateway, Method::GET, "/ledger", None, None).await;

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

    let refund = Some(json!({ "reference": "order-1" }));
    let (_, refunded) = call(&gateway, Method::POST, "/refunds", Some("undo"), refund).await;
    assert_eq!(
        refunded["amount_minor"], 2500,
        "a refund gives back the sum"
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn refund_is_applied_once() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();
    let charged = charge_id(client.charge(order, 1250, "EUR").await.unwrap());

    let outcomes = join_all((0..10).map(|_| client.refund(order))).await;

    let refunded = RefundOutcome::Refunded {
        charge_id: charged.clone(),
    };
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), refunded);
    }
    assert_eq!(kinds(&gateway), [Charge, Refund]);
    assert_eq!(gateway.ledger()[1].amount_minor, 1250);

    let again = charge_id(client.charge(order, 1250, "EUR").await.unwrap());
    assert_eq!(again, charged, "the charge's key keeps its answer");
    let body = Some(charge_body(&order.to_string()));
    let (status, _) = call(&gateway, Method::POST, "/charges", Some("new"), body).await;
    assert_eq!(
        status,
        StatusCode::CONFLICT,
        "a refunded order takes no new charge"
    );
    assert_eq!(kinds(&gateway), [Charge, Refund]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn refund_before_charge_voids_it() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();

    assert_eq!(client.refund(order).await.unwrap(), RefundOutcome::Voided);
    assert_eq!(
        client.charge(order, 1250, "EUR").await.unwrap(),
        ChargeOutcome::Voided
    );
    assert_eq!(client.refund(order).await.unwrap(), RefundOutcome::Voided);

    assert_eq!(kinds(&gateway), [Void]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn concurrent_charge_and_refund_balance_to_zero() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let orders: Vec<_> = (0..50).map(|_| Uuid::new_v4()).collect();

    let races = orders
        .iter()
        .map(|&order| join(client.charge(order, 1250, "EUR"), client.refund(order)));
    for (charge, refund) in join_all(races).await {
        match (charge.unwrap(), refund.unwrap()) {
            (ChargeOutcome::Charged { charge_id: a }, RefundOutcome::Refunded { charge_id: b }) => {
                assert_eq!(a, b);
            }
            (ChargeOutcome::Voided, RefundOutcome::Voided) => {}
            mixed => panic!("the two disagree: {mixed:?}"),
        }
    }

    for order in orders {
        let taken: i64 = gateway
            .ledger()
            .iter()
            .filter(|entry| entry.reference == order.to_string())
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
