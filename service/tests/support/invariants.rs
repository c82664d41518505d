//! The books: what must be true of every database and its gateway's ledger,
//! whatever was done to them, once no payment job is under way any more. The rules
//! are those of `orderly check-invariants`, in `usecases/check_invariants.rs`.

use diesel_async::AsyncPgConnection;
use orderly::payments::sandbox::{LedgerEntry, SandboxGateway};
use orderly::usecases::check_invariants::check_invariants;
use orderly::usecases::reconcile_payments::{payments_in_progress, reconcile_payments};

use super::database::TestDatabase;
use super::eventually::eventually;

/// Waits until the payment jobs are done, then checks every rule.
pub async fn check(database: &TestDatabase, gateway: &SandboxGateway) {
    let mut conn = database.connect().await;
    // The deadline is for each change: a long queue on a slow machine takes its time.
    let mut under_way = payments_in_progress(&mut conn).await.unwrap();
    while !under_way.is_empty() {
        under_way = eventually("the payment jobs come to an end", async || {
            let now = payments_in_progress(&mut conn).await.unwrap();
            (now != under_way).then_some(now)
        })
        .await;
    }
    hold(&mut conn, gateway.ledger()).await;
}

/// Checks every rule.
pub async fn hold(conn: &mut AsyncPgConnection, ledger: Vec<LedgerEntry>) {
    let mut verdicts = check_invariants(conn).await.unwrap();
    verdicts.push(reconcile_payments(conn, ledger).await.unwrap());
    for verdict in verdicts {
        let (rule, broken_by) = (verdict.invariant, verdict.violations);
        assert!(broken_by.is_empty(), "broken: {rule}: {broken_by:?}");
    }
}
