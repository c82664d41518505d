//! A gateway that is stopped or killed remembers what it has answered.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};

use orderly::payments::sandbox::EntryKind::{Charge, Decline, Refund, Void};
use orderly::payments::{ChargeOutcome, RefundOutcome};
use serde_json::json;
use uuid::Uuid;

use crate::support::{LedgerFile, charge_id, clear_faults, kinds, lenient_client, set_faults};

#[tokio::test]
async fn restarted_gateway_honours_old_keys() {
    let file = LedgerFile::new();
    let [paid, poor, refunded, voided] = [(); 4].map(|()| Uuid::new_v4());

    let gateway = file.start().await.unwrap();
    let client = lenient_client(&gateway);
    let paid_id = charge_id(client.charge(paid, 1250, "EUR").await.unwrap());
    let refunded_id = charge_id(client.charge(refunded, 900, "EUR").await.unwrap());
    client.refund(refunded).await.unwrap();
    client.refund(voided).await.unwrap();
    set_faults(&gateway, json!({ "decline_rate": 1 })).await;
    let declined = client.charge(poor, 1250, "EUR").await.unwrap();
    clear_faults(&gateway).await;
    let before = gateway.ledger();
    gateway.stop().await.unwrap();

    let gateway = file.start().await.unwrap();
    let client = lenient_client(&gateway);
    assert_eq!(gateway.ledger(), before);
    assert_eq!(
        charge_id(client.charge(paid, 1250, "EUR").await.unwrap()),
        paid_id
    );
    assert_eq!(client.charge(poor, 1250, "EUR").await.unwrap(), declined);
    assert_eq!(
        client.refund(refunded).await.unwrap(),
        RefundOutcome::Refunded {
            charge_id: refunded_id
        },
    );
    assert_eq!(
        client.charge(voided, 1250, "EUR").await.unwrap(),
        ChargeOutcome::Voided
    );
    assert_eq!(kinds(&gateway), [Charge, Charge, Refund, Void, Decline]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn charge_is_in_ledger_file_before_response() {
    let file = LedgerFile::new();
    let gateway = file.start().await.unwrap();

    let id = charge_id(
        lenient_client(&gateway)
            .charge(Uuid::new_v4(), 1250, "EUR")
            .await
            .unwrap(),
    );

    // Read while the gateway runs: a kill now would lose nothing.
    let written = fs::read_to_string(&file.0).unwrap();
    assert!(
        written.ends_with('\n') && written.contains(&id),
        "{written}"
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn truncates_half_written_last_line() {
    let file = LedgerFile::new();
    let gateway = file.start().await.unwrap();
    let order = Uuid::new_v4();
    let id = charge_id(
        lenient_client(&gateway)
            .charge(order, 1250, "EUR")
            .await
            .unwrap(),
    );
    gateway.stop().await.unwrap();
    let mut file_end = OpenOptions::new().append(true).open(&file.0).unwrap();
    file_end
        .write_all(br#"{"kind":"charge","id":"ch_"#)
        .unwrap();

    // Twice: what the first one appends must be readable by the second.
    for entries in 2..=3 {
        let gateway = file.start().await.unwrap();
        let client = lenient_client(&gateway);
        assert_eq!(
            charge_id(client.charge(order, 1250, "EUR").await.unwrap()),
            id
        );
        client.charge(Uuid::new_v4(), 1, "EUR").await.unwrap();
        assert_eq!(gateway.ledger().len(), entries);
        gateway.stop().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_ledger_fails_startup_and_names_line() {
    let file = LedgerFile::new();
    let gateway = file.start().await.unwrap();
    lenient_client(&gateway)
        .charge(Uuid::new_v4(), 1250, "EUR")
        .await
        .unwrap();
    gateway.stop().await.unwrap();
    let intact = fs::read_to_string(&file.0).unwrap();
    fs::write(&file.0, format!("{intact}not an entry\n{intact}")).unwrap();

    let error = file.start().await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("line 2"), "{error}");
}
