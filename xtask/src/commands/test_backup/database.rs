//! The databases of the test and their contents.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use xtask::postgres::Postgres;
use xtask::process::wait_until;
use xtask::program::run_for_output;

/// Invariants, each with a query that returns its violations.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "stock + sold = received",
        "SELECT FROM products p WHERE p.stock_received <> p.stock + (SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.product_id = p.id AND o.status IN ('pending', 'paid', 'shipped'))",
    ),
    (
        "an order's total is the sum of its lines",
        "SELECT FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id GROUP BY o.id HAVING o.total_minor IS DISTINCT FROM sum(l.line_total_minor)",
    ),
    (
        "paid orders, and no others, have a payment of their total",
        "SELECT FROM orders o LEFT JOIN payments p ON p.order_id = o.id WHERE (o.status IN ('paid', 'shipped')) <> (p.order_id IS NOT NULL) OR p.amount_minor <> o.total_minor",
    ),
    (
        "pending orders, and no others, have a charge to come",
        "SELECT FROM orders o LEFT JOIN jobs j ON j.kind = 'payment' AND j.key = o.id::text AND j.payload ->> 'operation' = 'charge' WHERE (o.status = 'pending') <> (j.key IS NOT NULL)",
    ),
    (
        "pending orders, and no others, have an expiry to come",
        "SELECT FROM orders o LEFT JOIN jobs j ON j.kind = 'order_expiry' AND j.key = o.id::text WHERE (o.status = 'pending') <> (j.key IS NOT NULL)",
    ),
    (
        "an idempotency key has its response and its order",
        "SELECT FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.resource_id WHERE k.response_body IS NULL OR o.id IS NULL",
    ),
];

/// Creates the database of the service and two for copies, each with the user that needs it.
pub(super) fn create_databases(postgres: &Postgres) -> anyhow::Result<()> {
    for statement in [
        "CREATE ROLE backup_reader LOGIN PASSWORD 'reader' IN ROLE pg_read_all_data",
        "CREATE ROLE backup_owner LOGIN PASSWORD 'owner'",
        "CREATE DATABASE backup_source",
        "CREATE DATABASE backup_live OWNER backup_owner",
        "CREATE DATABASE backup_copy OWNER backup_owner",
    ] {
        postgres.query("postgres", statement)?;
    }
    Ok(())
}

pub(super) fn check_invariants(postgres: &Postgres, database: &str) -> anyhow::Result<()> {
    for (invariant, query) in INVARIANTS {
        let count = format!("SELECT count(*) FROM ({query}) violations");
        let violations = postgres.count(database, &count)?;
        ensure!(
            violations == 0,
            "{database} violates an invariant: {invariant} ({violations} times)"
        );
    }
    Ok(())
}

pub(super) fn count_orders(postgres: &Postgres, database: &str) -> anyhow::Result<u64> {
    postgres.count(database, "SELECT count(*) FROM orders")
}

/// Returns everything that is in a database, in an order that does not depend on how it came
/// there.
pub(super) fn read_contents(postgres: &Postgres, database: &str) -> anyhow::Result<String> {
    let mut dump = Command::new(postgres.programs().join("pg_dump"));
    dump.args(["--schema-only", "--no-owner"])
        .envs(postgres.client_variables(database));
    let schema = run_for_output(&mut dump)?;
    // Newer versions add a random word in these lines.
    let is_random =
        |line: &&str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
    let mut contents: Vec<String> = schema
        .lines()
        .filter(|line| !is_random(line))
        .map(str::to_owned)
        .collect();
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let tables = postgres.query(database, tables)?;
    // Two databases of which nothing was read are equal.
    ensure!(!tables.is_empty(), "{database} has no tables");
    for table in tables.lines() {
        contents.push(format!("== {table}"));
        contents.push(postgres.query(
            database,
            &format!("SELECT t::text FROM {table} t ORDER BY 1"),
        )?);
    }
    let sequences = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1";
    contents.push(postgres.query(database, sequences)?);
    Ok(contents.join("\n"))
}

/// A connection of another client to a database.
pub(super) struct OpenConnection<'a> {
    postgres: &'a Postgres,
    database: &'static str,
    client: Child,
}

impl<'a> OpenConnection<'a> {
    pub(super) fn open(postgres: &'a Postgres, database: &'static str) -> anyhow::Result<Self> {
        let mut psql = Command::new(postgres.programs().join("psql"));
        psql.args(["-X", "-q", "-c", "SELECT pg_sleep(60)"])
            .envs(postgres.client_variables(database));
        let client = psql
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let connection = Self {
            postgres,
            database,
            client,
        };
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
        let is_open = wait_until(Duration::from_secs(20), || {
            Ok(postgres.count("postgres", &count)? > 0)
        })?;
        ensure!(is_open, "no connection to {database}");
        Ok(connection)
    }

    pub(super) fn close(mut self) -> anyhow::Result<()> {
        let terminate = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
            self.database
        );
        self.postgres.query("postgres", &terminate)?;
        self.client.wait()?;
        Ok(())
    }
}
