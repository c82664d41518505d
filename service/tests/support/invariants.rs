//! The books: what must be true of every database and its gateway's ledger,
//! whatever was done to them, once no payment job is under way any more.
//!
//! - **Goods.** What came in is on the shelf or in an order that stands.
//! - **Orders.** Each has its lines, they add up, and it has the job, the payment
//!   and the keys that its status asks for, no others.
//! - **Money.** What the gateway took for an order, less what it gave back, is
//!   what the order says; it was taken once, and the payment names the charge.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use orderly::payments::sandbox::{EntryKind, LedgerEntry, SandboxGateway};

use super::database::TestDatabase;
use super::eventually::eventually;
use super::sql::texts;

/// Each query finds the ids of what breaks a rule.
const RULES: &[(&str, &str)] = &[
    (
        "stock + sold = received, for every product",
        "SELECT p.id::text AS value FROM products p WHERE p.stock_received <> p.stock + (
            SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
            WHERE l.product_id = p.id AND o.status IN ('pending', 'paid', 'shipped'))",
    ),
    (
        "an order has lines, numbered from 1, and its total is their sum",
        "SELECT o.id::text AS value FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id
            GROUP BY o.id HAVING o.total_minor IS DISTINCT FROM sum(l.line_total_minor)
            OR max(l.line_no) IS DISTINCT FROM count(l.line_no)",
    ),
    (
        "paid and shipped orders have a payment of their total, no other order has one",
        "SELECT o.id::text AS value FROM orders o LEFT JOIN payments p ON p.order_id = o.id
            WHERE (o.status IN ('paid', 'shipped')) <> (p.order_id IS NOT NULL)
            OR p.amount_minor <> o.total_minor OR p.currency <> o.currency",
    ),
    (
        "a pending order has a charge to come, and only a pending one has",
        "SELECT o.id::text AS value FROM orders o LEFT JOIN payment_jobs j
            ON j.order_id = o.id AND j.kind = 'charge'
            WHERE (o.status = 'pending') <> (j.order_id IS NOT NULL)",
    ),
    (
        "only a cancelled order has a refund to come, and a job is about the order's total",
        "SELECT o.id::text AS value FROM orders o JOIN payment_jobs j ON j.order_id = o.id
            WHERE (j.kind = 'refund' AND o.status <> 'cancelled')
            OR j.amount_minor <> o.total_minor OR j.currency <> o.currency",
    ),
    (
        "an idempotency key is committed with its answer, and its order is there",
        "SELECT k.key AS value FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.resource_id
            WHERE k.answer IS NULL OR o.id IS NULL OR o.user_id <> k.user_id
            OR k.answer::jsonb ->> 'id' <> o.id::text",
    ),
    (
        "one order has one idempotency key",
        "SELECT resource_id::text AS value FROM idempotency_keys
            GROUP BY resource_id HAVING count(*) > 1",
    ),
];

/// Jobs at work, due, or due before long: their orders may still change. Dead ones
/// and ones that back off for longer stay as they are.
const UNDER_WAY: &str = "SELECT order_id::text AS value FROM payment_jobs WHERE dead_at IS NULL
    AND (lease_token IS NOT NULL OR run_at < now() + interval '10 seconds')
    ORDER BY order_id";

/// What an order says of its money.
#[derive(diesel::QueryableByName)]
struct Account {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    total_minor: i64,
    #[diesel(sql_type = Nullable<Text>)]
    charge_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    job: Option<String>,
}

const ACCOUNTS: &str = "SELECT o.id::text, o.status, o.total_minor, p.charge_id, j.kind AS job
    FROM orders o LEFT JOIN payments p ON p.order_id = o.id
    LEFT JOIN payment_jobs j ON j.order_id = o.id";

/// Waits until the payment jobs are done, then checks every rule.
pub async fn check(database: &TestDatabase, gateway: &SandboxGateway) {
    let mut conn = database.connect().await;
    // The deadline is for each change: a long queue on a slow machine takes its time.
    let mut under_way = texts(&mut conn, UNDER_WAY).await;
    while !under_way.is_empty() {
        under_way = eventually("the payment jobs come to an end", async || {
            let now = texts(&mut conn, UNDER_WAY).await;
            (now != under_way).then_some(now)
        })
        .await;
    }
    for (rule, broken) in RULES {
        let broken = texts(&mut conn, broken).await;
        assert!(broken.is_empty(), "broken: {rule}: {broken:?}");
    }
    charged_is_paid(&mut conn, gateway).await;
}

async fn charged_is_paid(conn: &mut AsyncPgConnection, gateway: &SandboxGateway) {
    let mut ledger: BTreeMap<String, Vec<LedgerEntry>> = BTreeMap::new();
    for entry in gateway.ledger() {
        ledger
            .entry(entry.reference.clone())
            .or_default()
            .push(entry);
    }
    let accounts: Vec<Account> = diesel::sql_query(ACCOUNTS).load(conn).await.unwrap();
    for account in accounts {
        let entries = ledger.remove(&account.id).unwrap_or_default();
        account.check(&entries);
    }
    assert!(ledger.is_empty(), "no order is known for: {ledger:?}");
}

impl Account {
    fn check(&self, entries: &[LedgerEntry]) {
        let Self { id, status, .. } = self;
        let (total, of) = (self.total_minor, |kind| {
            entries.iter().filter(move |entry| entry.kind == kind)
        });
        let charges: Vec<_> = of(EntryKind::Charge).collect();
        assert!(
            charges.len() <= 1,
            "order {id} was charged twice: {entries:?}"
        );
        for entry in of(EntryKind::Charge).chain(of(EntryKind::Refund)) {
            assert_eq!(entry.amount_minor, total, "not the total of order {id}");
        }

        let (taken, given_back) = (charges.len(), of(EntryKind::Refund).count());
        // Asked, and not yet sure of the answer: by a dead job, for a person to see to.
        let unsure = self.job.is_some();
        let as_it_should_be = match status.as_str() {
            "paid" | "shipped" => (taken, given_back) == (1, 0),
            "pending" | "cancelled" if unsure => given_back <= taken,
            _ => taken == given_back,
        };
        assert!(
            as_it_should_be,
            "order {id} is {status} at {total}, but: {entries:?}"
        );
        if let Some(charge_id) = &self.charge_id {
            assert_eq!(charge_id, &charges[0].id, "order {id} names another charge");
        }
    }
}
