//! Outcomes of the sandbox gateway, as the client reports them.

use orderly::payments::{ChargeOutcome, GatewayError, RefundOutcome};
use sandbox_gateway::EntryKind::{Charge, Decline, Refund, Void};
use serde_json::json;
use uuid::Uuid;

use crate::support::{charge_id, clear_faults, kinds, lenient_client, set_faults, start};

#[tokio::test]
async fn repeated_charge_uses_order_id_as_key() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();

    let first = charge_id(client.charge(order, 1250, "EUR").await.unwrap());
    let second = charge_id(client.charge(order, 1250, "EUR").await.unwrap());

    assert_eq!(first, second);
    let ledger = gateway.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].id, first);
    assert_eq!(ledger[0].reference, order.to_string());
    assert_eq!(ledger[0].idempotency_key, order.to_string());
    assert_eq!(ledger[0].amount_minor, 1250);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn reused_key_is_permanent_error() {
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
async fn reports_decline_with_reason() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    set_faults(&gateway, json!({ "decline_above_minor": 1000 })).await;

    let charge = client.charge(Uuid::new_v4(), 1001, "EUR").await.unwrap();

    let declined = ChargeOutcome::Declined {
        reason: "insufficient_funds".to_owned(),
    };
    assert_eq!(charge, declined);
    clear_faults(&gateway).await;
    assert_eq!(kinds(&gateway), [Decline]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn reports_refund_with_its_charge() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();
    let charge_id = charge_id(client.charge(order, 1250, "EUR").await.unwrap());

    let refunded = RefundOutcome::Refunded { charge_id };
    assert_eq!(client.refund(order).await.unwrap(), refunded);
    assert_eq!(client.refund(order).await.unwrap(), refunded);

    assert_eq!(kinds(&gateway), [Charge, Refund]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn reports_void_to_refund_and_late_charge() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();

    assert_eq!(client.refund(order).await.unwrap(), RefundOutcome::Voided);
    let charge = client.charge(order, 1250, "EUR").await.unwrap();
    assert_eq!(charge, ChargeOutcome::Voided);

    assert_eq!(kinds(&gateway), [Void]);
    gateway.stop().await.unwrap();
}
