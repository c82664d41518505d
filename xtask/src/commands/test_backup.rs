//! `make test-backup`: backs up a database in which orders are placed and paid at the same time,
//! restores it into another one, and checks the invariants of the copy. Then it checks that
//! the scripts reject a damaged backup and a database that is not empty.

mod database;
mod orders;
mod scripts;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use xtask::cargo::Programs;
use xtask::gateway::Gateway;
use xtask::port::find_free_port;
use xtask::postgres::Postgres;
use xtask::program::run_for_output;
use xtask::programs::find_program;
use xtask::progress::log_progress;
use xtask::service::Service;

use super::services::TestServers;
use database::{check_invariants, count_orders, create_databases, read_contents};
use orders::OrderLoad;
use scripts::BackupScripts;

/// Middle of a dump, past its header.
const DAMAGED_BYTE: u64 = 5_000;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let servers = TestServers::start()?;
    let programs = Programs::build()?;
    let postgres = &servers.postgres;
    create_databases(postgres)?;
    let gateway = Gateway::start(&servers.data, &programs.gateway, find_free_port()?)?;
    let service = Service::on_free_ports(programs.service)?
        .set("ORDERLY_ENV", "test")
        .set("ORDERLY__LOG__FILTER", "warn")
        .set("ORDERLY__SHUTDOWN__DRAIN_DELAY", "0s")
        .set("ORDERLY__DATABASE__URL", &postgres.url("backup_source"))
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway.url());
    service.prepare_database()?;
    let mut process = service.start(
        &servers.data,
        Some(&servers.data.path().join("service.log")),
    )?;
    let work = servers.data.path().join("backup");
    let backups = work.join("backups");
    fs::create_dir_all(&backups)?;
    let scripts = BackupScripts::new(postgres);

    log_progress("A backup while orders are placed and paid");
    let load = OrderLoad::start(service.api_port)?;
    load.wait_for(30)?;
    let live = scripts.backup("backup_source", &backups)?;
    load.wait_for(10)?;
    load.stop()?;
    scripts.restore("backup_live", &live, &[])?;
    check_invariants(postgres, "backup_live")?;
    let (orders, all) = (
        count_orders(postgres, "backup_live")?,
        count_orders(postgres, "backup_source")?,
    );
    ensure!(
        (30..all).contains(&orders),
        "the copy has {orders} orders and the database {all}: was it not taken in between?"
    );
    let copy = service
        .clone()
        .set("ORDERLY__DATABASE__URL", &postgres.url("backup_live"));
    let schema = run_for_output(&mut copy.command(&["migrate"]))?;
    ensure!(
        schema == "the schema is up to date",
        "the copy has another schema: {schema}"
    );

    log_progress("A backup of a database at rest is the database");
    let status = process.stop()?;
    ensure!(status.success(), "the service ended with {status}");
    wait_for_next_second();
    let still = scripts.backup("backup_source", &backups)?;
    scripts.restore("backup_copy", &still, &[])?;
    let source = read_contents(postgres, "backup_source")?;
    let is_unchanged = || ensure_same(&source, &read_contents(postgres, "backup_copy")?);
    is_unchanged().context("the copy is another database")?;

    log_progress("A rejected restore leaves everything as it was");
    check_rejections(&scripts, postgres, &work, &live, &still)?;
    is_unchanged().context("a restore that failed has changed the database")?;

    log_progress("A backup replaces the data; backups that are too old are removed");
    scripts.restore("backup_copy", &live, &["--replace"])?;
    check_invariants(postgres, "backup_copy")?;
    let replaced = count_orders(postgres, "backup_copy")?;
    ensure!(
        replaced == orders,
        "replaced by something else: {replaced} orders"
    );
    File::open(&live)?.set_modified(UNIX_EPOCH + Duration::from_secs(1_577_836_800))?;
    wait_for_next_second();
    scripts.backup_and_remove_older("backup_source", &backups, 14)?;
    ensure!(
        !live.exists() && still.exists(),
        "the wrong backups were removed"
    );
    for entry in fs::read_dir(&backups)? {
        let name = entry?.file_name();
        let is_partial = name.to_string_lossy().starts_with(".partial");
        ensure!(!is_partial, "half a backup was left behind");
    }
    log_progress(&format!(
        "Backups restore: {orders} orders of {all} were in the one that was taken in between"
    ));
    Ok(ExitCode::SUCCESS)
}

fn check_rejections(
    scripts: &BackupScripts<'_>,
    postgres: &Postgres,
    work: &Path,
    live: &Path,
    still: &Path,
) -> anyhow::Result<()> {
    scripts.expect_failure(
        "not empty",
        scripts.restore_command("backup_copy", still, &[]),
    )?;

    let connection = database::OpenConnection::open(postgres, "backup_copy")?;
    let replace = scripts.restore_command("backup_copy", live, &["--replace"]);
    scripts.expect_failure("stop the service first", replace)?;
    connection.close()?;

    let damaged = copy_backup(live, &work.join("damaged"))?;
    let dump = File::options()
        .write(true)
        .open(damaged.join("database.dump"))?;
    dump.write_all_at(b"x", DAMAGED_BYTE)?;
    let restore = scripts.restore_command("backup_copy", &damaged, &["--replace"]);
    scripts.expect_failure("is damaged", restore)?;

    let short = copy_backup(live, &work.join("short"))?;
    let rows = fs::read_to_string(short.join("rows"))?;
    let fewer = rows.lines().map(|line| match line.split_once('|') {
        Some(("public.orders", _)) => "public.orders|1\n".to_owned(),
        _ => format!("{line}\n"),
    });
    fs::write(short.join("rows"), fewer.collect::<String>())?;
    let mut sum = Command::new("sh");
    sum.args(["-c", "sha256sum database.dump rows >SHA256SUMS"])
        .current_dir(&short);
    run_for_output(&mut sum)?;
    let restore = scripts.restore_command("backup_copy", &short, &["--replace"]);
    scripts.expect_failure("do not have the rows", restore)?;

    let broken = work.join("bin");
    fs::create_dir(&broken)?;
    symlink(
        find_program("false").context("there is no program false")?,
        broken.join("pg_dump"),
    )?;
    let backup = scripts
        .with_programs(&broken)
        .backup_command("backup_copy", &work.join("backups"));
    scripts.expect_failure("no new backup", backup)
}

fn copy_backup(from: &Path, to: &Path) -> anyhow::Result<std::path::PathBuf> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(to.to_owned())
}

fn ensure_same(expected: &str, found: &str) -> anyhow::Result<()> {
    let difference = expected
        .lines()
        .zip(found.lines())
        .find(|(expected, found)| expected != found);
    if let Some((expected, found)) = difference {
        anyhow::bail!("expected '{expected}', found '{found}'");
    }
    let (expected, found) = (expected.lines().count(), found.lines().count());
    ensure!(
        expected == found,
        "expected {expected} lines, found {found}"
    );
    Ok(())
}

/// A backup is named after the second in which it is made.
fn wait_for_next_second() {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    thread::sleep(Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into()));
}
