//! SIGTERM and SIGINT end every command promptly, and nothing that it left undone happens later.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use diesel_async::SimpleAsyncConnection as _;
use xtask::process::{Signal, send_signal};

use super::migrate::revert_newest;
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{postgres_host, start_postgres_proxy};
use crate::support::process::{ChildProcess, CommandOutput, OrderlyCommand};

/// Key of the lock that `orderly migrate` holds.
const MIGRATIONS_LOCK: i64 = 0x6f72_6465_726c_7901;

/// A command that waits for locks for longer than a test runs.
fn patient(database: &TestDatabase) -> OrderlyCommand {
    OrderlyCommand::with_database(database)
        .set("ORDERLY__HTTP__REQUEST_TIMEOUT", "5m")
        .set("ORDERLY__DATABASE__LOCK_TIMEOUT", "2m")
        .set("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "3m")
        .set("ORDERLY__DATABASE__TCP_USER_TIMEOUT", "4m")
}

#[track_caller]
fn assert_interrupted(ended: &CommandOutput, code: i32, undone: &str) {
    assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("orderly: interrupted by SIG"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains(undone), "{}", ended.stderr);
}

async fn hold_migrations_lock(database: &TestDatabase) -> diesel_async::AsyncPgConnection {
    let mut holder = database.connect().await;
    let lock =
        format!("SET application_name = 'holder'; SELECT pg_advisory_lock({MIGRATIONS_LOCK})");
    holder.batch_execute(&lock).await.unwrap();
    holder
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_ends_while_it_waits_for_another_migration() {
    let database = TestDatabase::empty().await;
    let _holder = hold_migrations_lock(&database).await;
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let migrate = OrderlyCommand::with_database(&database).start(&["migrate"]);
        migrate
            .wait_for_message("waiting for another migration: pid")
            .await;
        migrate.wait_for_message("holder").await;
        migrate.signal(signal);
        assert_interrupted(&migrate.wait().await, code, "no migration was applied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_ends_as_first_process_of_container() {
    let database = TestDatabase::empty().await;
    let unshare = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let is_allowed = Command::new("unshare").args(unshare).arg("true").output();
    if !is_allowed.is_ok_and(|output| output.status.success()) {
        #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
        {
            eprintln!("skipped: only root may make a PID namespace here");
        }
        return;
    }
    let _holder = hold_migrations_lock(&database).await;
    let orderly = OrderlyCommand::with_database(&database).command(&["migrate"]);
    let mut container = Command::new("unshare");
    container
        .args(unshare)
        .arg(orderly.get_program())
        .args(orderly.get_args());
    container
        .env_clear()
        .current_dir(orderly.get_current_dir().unwrap());
    container.envs(
        orderly
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let migrate = ChildProcess::start(&mut container);
    migrate
        .wait_for_message("waiting for another migration")
        .await;

    let children = format!("/proc/{0}/task/{0}/children", migrate.id());
    let children = std::fs::read_to_string(children).unwrap();
    let first_process = children.split_whitespace().next().unwrap();
    let status = Command::new("kill").args(["-TERM", first_process]).status();
    assert!(status.unwrap().success());
    assert_interrupted(&migrate.wait().await, 143, "no migration was applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_cancels_running_statement() {
    let database = TestDatabase::new().await;
    revert_newest(&database).await;
    let mut conn = database.connect().await;
    let slow = "CREATE FUNCTION be_slow() RETURNS event_trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_sleep(600); END'; \
         CREATE EVENT TRIGGER be_slow ON ddl_command_start WHEN TAG IN ('ALTER TABLE') \
         EXECUTE FUNCTION be_slow()";
    conn.batch_execute(slow).await.unwrap();
    let orderly = OrderlyCommand::with_database(&database);
    let migrate = orderly.start(&["migrate"]);
    let sleeping = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    database.wait_for_row_count(sleeping, 1).await;
    migrate.signal(Signal::TERM);
    let ended = migrate.wait().await;
    assert_interrupted(
        &ended,
        143,
        "0 of 1 migrations were applied, a started one was cancelled",
    );
    database.wait_for_row_count(sleeping, 0).await;

    conn.batch_execute("DROP EVENT TRIGGER be_slow")
        .await
        .unwrap();
    assert_eq!(
        orderly.succeed(&["migrate"]).await,
        "applied 20261129000011"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_while_they_wait_for_lock() {
    let database = TestDatabase::new().await;
    let orderly = patient(&database);
    let mut conn = database.connect().await;
    let dead = "INSERT INTO jobs (kind, payload, run_at, due_at, dead_at) \
                VALUES ('payment', '{}', now(), now(), now())";
    conn.batch_execute(dead).await.unwrap();
    for (arguments, table, undone) in [
        (&["seed"][..], "users", "no product was added"),
        (&["seed"], "products", "no product was added"),
        (
            &["check-invariants"],
            "order_lines",
            "not all invariants were checked",
        ),
        (&["jobs", "list"], "jobs", "no job was changed"),
        (&["jobs", "requeue", "--all"], "jobs", "no job was changed"),
        (&["jobs", "delete", "--all"], "jobs", "no job was changed"),
        (
            &["migrate"],
            "__diesel_schema_migrations",
            "no migration was applied",
        ),
    ] {
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        conn.batch_execute(&lock).await.unwrap();
        let command = orderly.start(arguments);
        if arguments == ["migrate"] {
            // Not for longer than a second: then it retries.
            command.wait_for_message("got no lock").await;
        } else {
            database.wait_for_lock_waiters(1).await;
        }
        command.signal(Signal::TERM);
        assert_interrupted(&command.wait().await, 143, undone);
        // The statement was cancelled on the server, so nothing happens when the lock is free.
        database.wait_for_lock_waiters(0).await;
        conn.batch_execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(
        database.count_rows("jobs WHERE dead_at IS NOT NULL").await,
        1
    );
    assert_eq!(database.count_rows("products").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_invariants_ends_while_it_waits_for_payments() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let pending =
        "INSERT INTO jobs (kind, payload, run_at, due_at) VALUES ('payment', '{}', now(), now())";
    conn.batch_execute(pending).await.unwrap();
    let arguments = ["check-invariants", "--ledger", "--wait", "3600"];
    let command = OrderlyCommand::with_database(&database).start(&arguments);
    let connected = "pg_stat_activity WHERE datname = current_database() AND application_name = 'orderly' \
                     AND query LIKE '%jobs%'";
    eventually("the command has looked for payments", async || {
        (database.count_rows(connected).await > 0).then_some(())
    })
    .await;
    command.signal(Signal::INT);
    assert_interrupted(
        &command.wait().await,
        130,
        "not all invariants were checked",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_while_postgres_hangs() {
    let database = TestDatabase::new().await;
    let proxy = start_postgres_proxy().await;
    proxy.freeze();
    let url = database
        .url
        .replace(&postgres_host(), &proxy.address().to_string());
    let orderly = OrderlyCommand::new().set("ORDERLY__DATABASE__URL", &url);
    for arguments in [
        &["migrate"][..],
        &["seed"],
        &["check-invariants"],
        &["jobs", "list"],
    ] {
        let connections = proxy.connection_count();
        let command = orderly.start(arguments);
        eventually("the command connects", async || {
            (proxy.connection_count() > connections).then_some(())
        })
        .await;
        command.signal(Signal::TERM);
        assert_interrupted(&command.wait().await, 143, "");
    }
    let connections = proxy.connection_count();
    let serve = orderly.start(&["serve"]);
    eventually("the service connects", async || {
        (proxy.connection_count() > connections).then_some(())
    })
    .await;
    serve.signal(Signal::TERM);
    let ended = serve.wait().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(
        ended.stdout.contains("stopped before it was ready"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_ends_while_service_is_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let probe = OrderlyCommand::new().set("ORDERLY__ADMIN__PORT", &port);
    let probe = probe.start(&["healthcheck", "--timeout", "60"]);
    let (_connection, _) = tokio::task::spawn_blocking(move || silent.accept().unwrap())
        .await
        .unwrap();
    probe.signal(Signal::TERM);
    assert_interrupted(&probe.wait().await, 143, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_while_output_is_not_read() {
    for arguments in [
        &["openapi"][..],
        &["config", "--schema"],
        &["metrics"],
        &["version"],
    ] {
        // A pipe holds 64 KiB: there is no room for the output.
        let (_reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[b' '; 65_536]).unwrap();
        let mut command = OrderlyCommand::new().command(arguments);
        let mut child = command.stdout(writer).spawn().unwrap();
        let tasks = format!("/proc/{}/task", child.id());
        eventually("it waits for a reader", async || {
            is_blocked_in_write(&tasks)
        })
        .await;
        send_signal(&child, Signal::TERM).unwrap();
        let status = eventually("it ends", async || child.try_wait().unwrap()).await;
        assert_eq!(status.code(), Some(143), "{arguments:?}");
    }
}

/// Returns `Some` once a thread waits in a pipe.
fn is_blocked_in_write(tasks: &str) -> Option<()> {
    let tasks = std::fs::read_dir(tasks).ok()?;
    let mut waits =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("wchan")).ok());
    waits.any(|wait| wait.contains("pipe_w")).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_output_is_no_failure() {
    for arguments in [
        &["openapi"][..],
        &["config"],
        &["metrics"],
        &["version"],
        &["--help"],
    ] {
        let mut command = OrderlyCommand::new().command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let status = eventually("it ends", async || child.try_wait().unwrap()).await;
        let mut message = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut message)
            .unwrap();
        assert_eq!(
            (status.code(), message.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    // The message of a failure has no reader either.
    let mut command = OrderlyCommand::new().command(&["migrate"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let status = eventually("it ends", async || child.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_documentation_list_same_exit_codes() {
    let help = OrderlyCommand::new().succeed(&["--help"]).await;
    let (_, listed) = help.split_once("Exit codes:\n").unwrap();
    let page = include_str!("../../../docs/exit-codes.md");
    for line in listed.lines().take_while(|line| !line.is_empty()) {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(page.contains(&row), "docs/exit-codes.md lacks: {row}");
    }
    for code in ["| 130 |", "| 143 |", "| 78 |", "| 3 |"] {
        assert!(page.contains(code), "{code}");
    }
}
