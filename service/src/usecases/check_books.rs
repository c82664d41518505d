//! An auditor reads the books: whether goods, orders and money add up.
//!
//! What the database alone can tell are the [`RULES`]. Whether the money is right
//! takes the gateway's ledger as well: what it took for an order, less what it gave
//! back, must be what the order says.
//!
//! Every test of behaviour, every drill and every load test ends with this; so may
//! a backup that was restored (`orderly books`).

use std::collections::BTreeMap;

use diesel_async::AsyncPgConnection;

use crate::payments::sandbox::{EntryKind, LedgerEntry};
use crate::storage::books::{self, Account, RULES};
use crate::storage::error::StorageError;

const MONEY: &str =
    "what the gateway took for an order, once, less what it gave back, is what the order says";

/// What became of one rule.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Verdict {
    /// What must be true.
    pub rule: &'static str,
    /// What breaks it; empty if nothing does.
    pub broken_by: Vec<String>,
}

/// Checks every rule that the database alone can tell, at any moment.
///
/// # Errors
/// [`StorageError`].
pub async fn check_books(conn: &mut AsyncPgConnection) -> Result<Vec<Verdict>, StorageError> {
    books::take_time(conn).await?;
    let mut verdicts = Vec::with_capacity(RULES.len() + 1);
    for rule in RULES {
        verdicts.push(Verdict {
            rule: rule.says,
            broken_by: books::broken_by(conn, rule).await?,
        });
    }
    Ok(verdicts)
}

/// The orders whose payment is under way: the gateway may know more of them than
/// the database.
///
/// # Errors
/// [`StorageError`].
pub async fn payments_under_way(conn: &mut AsyncPgConnection) -> Result<Vec<String>, StorageError> {
    books::under_way(conn).await
}

/// Compares all orders with the gateway's ledger, which must be read when no
/// payment is under way any more.
///
/// # Errors
/// [`StorageError`].
pub async fn check_money(
    conn: &mut AsyncPgConnection,
    ledger: Vec<LedgerEntry>,
) -> Result<Verdict, StorageError> {
    let mut by_order: BTreeMap<String, Vec<LedgerEntry>> = BTreeMap::new();
    for entry in ledger {
        let entries = by_order.entry(entry.reference.clone()).or_default();
        entries.push(entry);
    }
    let mut broken_by = Vec::new();
    for account in books::accounts(conn).await? {
        let entries = by_order.remove(&account.id).unwrap_or_default();
        if let Some(fault) = fault(&account, &entries) {
            let Account { id, status, .. } = account;
            broken_by.push(format!("order {id}, {status}: {fault}"));
        }
    }
    let unknown = by_order.keys();
    broken_by
        .extend(unknown.map(|id| format!("{id}: the gateway knows it, the database does not")));
    Ok(Verdict {
        rule: MONEY,
        broken_by,
    })
}

/// What is wrong with an order's money.
fn fault(account: &Account, entries: &[LedgerEntry]) -> Option<String> {
    let of = |kind| entries.iter().filter(move |entry| entry.kind == kind);
    let charges: Vec<_> = of(EntryKind::Charge).collect();
    let (taken, given_back) = (charges.len(), of(EntryKind::Refund).count());
    if taken > 1 {
        return Some(format!("charged {taken} times"));
    }
    let total = account.total_minor;
    let mut moved = of(EntryKind::Charge).chain(of(EntryKind::Refund));
    if let Some(entry) = moved.find(|entry| entry.amount_minor != total) {
        return Some(format!("{} moved instead of {total}", entry.amount_minor));
    }
    let as_it_should_be = match account.status.as_str() {
        "paid" | "shipped" => (taken, given_back) == (1, 0),
        // Asked, and not yet sure of the answer: by a dead job, for a person to see to.
        "pending" | "cancelled" if account.unsure => given_back <= taken,
        _ => taken == given_back,
    };
    if !as_it_should_be {
        return Some(format!(
            "taken {taken} times, given back {given_back} times"
        ));
    }
    let named = account.charge_id.as_ref()?;
    let charge = charges.first().map(|charge| &charge.id);
    (charge != Some(named)).then(|| format!("its payment names {named}, not {charge:?}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn account(status: &str, unsure: bool) -> Account {
        let paid = matches!(status, "paid" | "shipped");
        Account {
            id: "order".to_owned(),
            status: status.to_owned(),
            total_minor: 100,
            charge_id: paid.then(|| "id".to_owned()),
            unsure,
        }
    }

    fn entries(of: &[(EntryKind, i64)]) -> Vec<LedgerEntry> {
        let entry = |&(kind, amount_minor): &_| LedgerEntry {
            kind,
            id: "id".to_owned(),
            reference: "order".to_owned(),
            amount_minor,
            currency: "EUR".to_owned(),
            at: chrono::DateTime::UNIX_EPOCH,
            idempotency_key: "key".to_owned(),
        };
        of.iter().map(entry).collect()
    }

    #[test]
    fn money_that_adds_up_is_no_fault() {
        let (charge, refund) = ((EntryKind::Charge, 100), (EntryKind::Refund, 100));
        for (account, moved) in [
            (account("paid", false), &[charge][..]),
            (account("shipped", false), &[charge]),
            (account("pending", true), &[]),
            (account("pending", true), &[charge]),
            (account("cancelled", true), &[charge]),
            (account("cancelled", false), &[charge, refund]),
            (account("cancelled", false), &[]),
            (
                account("payment_failed", false),
                &[(EntryKind::Decline, 100)],
            ),
        ] {
            let found = fault(&account, &entries(moved));
            assert_eq!(found, None, "{account:?} {moved:?}");
        }
    }

    #[test]
    fn money_that_does_not_add_up_is_found() {
        let (charge, refund) = ((EntryKind::Charge, 100), (EntryKind::Refund, 100));
        for (account, moved, expected) in [
            (account("paid", false), &[][..], "taken 0 times"),
            (account("paid", false), &[charge, charge], "charged 2 times"),
            (
                account("paid", false),
                &[charge, refund],
                "given back 1 times",
            ),
            (
                account("paid", false),
                &[(EntryKind::Charge, 99)],
                "99 moved",
            ),
            (account("payment_failed", false), &[charge], "taken 1 times"),
            (account("cancelled", false), &[charge], "given back 0 times"),
            (account("pending", true), &[refund], "given back 1 times"),
        ] {
            let found = fault(&account, &entries(moved)).unwrap();
            assert!(found.contains(expected), "{account:?} {moved:?}: {found}");
        }
        let mut another = account("paid", false);
        another.charge_id = Some("another".to_owned());
        let found = fault(&another, &entries(&[charge])).unwrap();
        assert!(found.contains("names another"), "{found}");
    }
}
