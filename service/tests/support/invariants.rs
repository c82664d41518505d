//! The invariants of every database and its gateway's ledger once no payment job is in
//! progress. They are those of `orderly check-invariants`, in `usecases/check_invariants.rs`.

use diesel_async::AsyncPgConnection;
use orderly::payments::LedgerEntry;
use orderly::usecases::check_invariants::check_invariants;
use orderly::usecases::reconcile_payments::{payments_in_progress, reconcile_payments};
use sandbox_gateway::SandboxGateway;

use super::database::TestDatabase;
use super::eventually::eventually;
use super::gateway::read_ledger;

/// Waits until the payment jobs are done, then asserts every invariant.
pub async fn check(database: &TestDatabase, gateway: &SandboxGateway) {
    let mut conn = database.connect().await;
    // The deadline is for each change: a long queue on a slow machine takes its time.
    let mut in_progress = payments_in_progress(&mut conn).await.unwrap();
    while !in_progress.is_empty() {
        in_progress = eventually("the payment jobs come to an end", async || {
            let now = payments_in_progress(&mut conn).await.unwrap();
            (now != in_progress).then_some(now)
        })
        .await;
    }
    assert_invariants(&mut conn, read_ledger(gateway)).await;
}

/// Asserts every invariant.
pub async fn assert_invariants(conn: &mut AsyncPgConnection, ledger: Vec<LedgerEntry>) {
    let mut results = check_invariants(conn).await.unwrap();
    results.push(reconcile_payments(conn, ledger).await.unwrap());
    for result in results {
        let (invariant, violations) = (result.invariant, result.violations);
        assert!(violations.is_empty(), "broken: {invariant}: {violations:?}");
    }
}
