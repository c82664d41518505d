//! A configuration that changes under the running process.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use xtask::process::Signal;

use super::configured_service::ConfiguredService;
use crate::support::eventually::eventually;

/// Begins halfway between `load_shedding.min_limit` and `load_shedding.max_limit`.
const LIMIT: &str = "orderly_requests_in_flight_limit ";
const FAILURES: &str = "orderly_config_reload_failures_total ";
const SUCCESSFUL: &str = "orderly_config_last_reload_successful ";

/// As editors do: a new file over the old one. Whoever reads meanwhile has one of the two,
/// and never an empty one.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("toml.new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

async fn metric_becomes(process: &ConfiguredService, name: &str, value: f64) {
    eventually(&format!("{name}is {value}"), async || {
        (process.metric(name).await == value).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applies_changed_file_but_not_invalid_one() {
    let process = ConfiguredService::start("files", &[]).await;
    let file = process.config.join("local.toml");
    metric_becomes(&process, LIMIT, 264.0).await;

    fs::write(
        &file,
        "[load_shedding]\nmin_limit = 330\n[http]\nworkers = 3",
    )
    .unwrap();
    metric_becomes(&process, LIMIT, 330.0).await;
    let warning = process
        .wait_for_log("a changed setting is not used before a restart")
        .await;
    assert_eq!(warning["key"], "http.workers");

    replace(&file, "[load_shedding]\nmin_limit = 440\nmax_limit = 0");
    eventually("the failure is counted", async || {
        (process.metric(FAILURES).await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(process.metric(SUCCESSFUL).await, 0.0);
    assert_eq!(process.metric(LIMIT).await, 330.0);

    replace(&file, "[load_shedding]\nmin_limit = 500");
    metric_becomes(&process, LIMIT, 500.0).await;
    assert_eq!(process.metric(SUCCESSFUL).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_despite_constant_directory_changes() {
    let process = ConfiguredService::start("restless", &[]).await;
    fs::write(
        process.config.join("local.toml"),
        "load_shedding.min_limit = 330",
    )
    .unwrap();
    eventually("the file is applied", async || {
        fs::write(process.config.join("noise"), "").unwrap();
        (process.metric(LIMIT).await == 330.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_config_map_swapped_by_symlink() {
    let process = ConfiguredService::start("config-map", &[]).await;
    let version = |name: &str, min_limit: u32| {
        let directory = process.config.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(
            directory.join("local.toml"),
            format!("load_shedding.min_limit = {min_limit}"),
        )
        .unwrap();
        symlink(name, process.config.join("..data_tmp")).unwrap();
        let data = process.config.join("..data");
        fs::rename(process.config.join("..data_tmp"), data).unwrap();
    };
    version("..2026_01", 330);
    symlink("..data/local.toml", process.config.join("local.toml")).unwrap();
    metric_becomes(&process, LIMIT, 330.0).await;
    version("..2026_02", 440);
    metric_becomes(&process, LIMIT, 440.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_unwatched_file() {
    // The file is elsewhere: nothing happens in the directory when it changes.
    let process = ConfiguredService::start("hangup", &[]).await;
    let elsewhere = process.config.with_file_name("hangup-elsewhere.toml");
    fs::write(&elsewhere, "load_shedding.min_limit = 330").unwrap();
    symlink(&elsewhere, process.config.join("local.toml")).unwrap();
    metric_becomes(&process, LIMIT, 330.0).await;

    fs::write(
        &elsewhere,
        "load_shedding.min_limit = 440\nlog.filter = 'debug'",
    )
    .unwrap();
    process.signal(Signal::HUP);
    metric_becomes(&process, LIMIT, 440.0).await;
    eventually("debug lines are logged", async || {
        process.get("/v1/products").await.unwrap();
        process
            .has_logged(|line| line["level"] == "DEBUG")
            .then_some(())
    })
    .await;
}
