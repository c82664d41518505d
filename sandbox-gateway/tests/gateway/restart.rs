//! A gateway that was stopped or killed remembers its responses.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};

use reqwest::StatusCode;
use sandbox_gateway::EntryKind::{Charge, Decline, Refund, Void};
use serde_json::json;

use crate::support::{LedgerFile, kinds, new_order};

#[tokio::test]
async fn restarted_gateway_honours_old_keys() {
    let file = LedgerFile::new();
    let [paid, poor, refunded, voided] = [(); 4].map(|()| new_order());

    let (gateway, client) = file.start().await.unwrap();
    let (_, charge) = client.charge(&paid, 1250).await;
    client.charge(&refunded, 900).await;
    let refund = client.refund(&refunded).await;
    client.refund(&voided).await;
    client.set_faults(json!({ "decline_rate": 1 })).await;
    let decline = client.charge(&poor, 1250).await;
    client.clear_faults().await;
    let before = gateway.ledger();
    gateway.stop().await.unwrap();

    let (gateway, client) = file.start().await.unwrap();
    assert_eq!(gateway.ledger(), before);
    assert_eq!(client.charge(&paid, 1250).await, (StatusCode::OK, charge));
    assert_eq!(client.charge(&poor, 1250).await, decline);
    assert_eq!(client.refund(&refunded).await, refund);
    let (rejected, _) = client.charge(&voided, 1250).await;
    assert_eq!(rejected, StatusCode::CONFLICT);
    assert_eq!(kinds(&gateway), [Charge, Charge, Refund, Void, Decline]);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn charge_is_in_ledger_file_before_response() {
    let file = LedgerFile::new();
    let (gateway, client) = file.start().await.unwrap();

    let (_, charge) = client.charge(&new_order(), 1250).await;

    // Read while the gateway runs: a kill now would lose nothing.
    let written = fs::read_to_string(&file.0).unwrap();
    let id = charge["id"].as_str().unwrap();
    assert!(written.ends_with('\n') && written.contains(id), "{written}");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn truncates_half_written_last_line() {
    let file = LedgerFile::new();
    let (gateway, client) = file.start().await.unwrap();
    let order = new_order();
    let (_, charge) = client.charge(&order, 1250).await;
    gateway.stop().await.unwrap();
    let mut file_end = OpenOptions::new().append(true).open(&file.0).unwrap();
    file_end
        .write_all(br#"{"kind":"charge","id":"ch_"#)
        .unwrap();

    // Twice: the second start must be able to read what the first one appended.
    for entries in 2..=3 {
        let (gateway, client) = file.start().await.unwrap();
        assert_eq!(client.charge(&order, 1250).await.1, charge);
        client.charge(&new_order(), 1).await;
        assert_eq!(gateway.ledger().len(), entries);
        gateway.stop().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_ledger_fails_startup_and_names_line() {
    let file = LedgerFile::new();
    let (gateway, client) = file.start().await.unwrap();
    client.charge(&new_order(), 1250).await;
    gateway.stop().await.unwrap();
    let intact = fs::read_to_string(&file.0).unwrap();
    fs::write(&file.0, format!("{intact}not an entry\n{intact}")).unwrap();

    let error = file.start().await.err().unwrap();

    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("line 2"), "{error}");
}
