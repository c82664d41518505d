//! Postgres and Redis as a drill uses them.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use xtask::data_dir::{DataDir, DataRoot};
use xtask::port::is_port_taken;
use xtask::postgres::{Postgres, PostgresOptions};
use xtask::redis::Redis;
use xtask::servers::{find_or_install_postgres, find_or_install_redis};

use super::checkout::{Checkout, exists, noted_processes};

fn data(checkout: &Checkout) -> DataDir {
    DataRoot::open(checkout.path())
        .unwrap()
        .create_test()
        .unwrap()
}

const OPTIONS: PostgresOptions<'static> = PostgresOptions {
    port: None,
    initdb: &["--auth=password", "--no-sync"],
    settings: &["fsync=off"],
    certificates: None,
};

#[test]
fn killed_postgres_restarts_with_its_data() {
    let checkout = Checkout::new("postgres");
    let data = data(&checkout);
    let occupied = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = occupied.local_addr().unwrap().port();
    let options = PostgresOptions {
        port: Some(taken),
        ..OPTIONS
    };
    let programs = find_or_install_postgres(None).unwrap();
    let mut postgres = Postgres::start(&data, programs, options).unwrap();
    drop(occupied);
    let url = postgres.url("orderly");
    assert!(!url.contains(&format!(":{taken}/")), "{url}");
    postgres.create_database("orderly").unwrap();
    postgres.create_database("orderly").unwrap();
    postgres
        .query("orderly", "CREATE TABLE kept AS SELECT 42 AS value")
        .unwrap();

    postgres.process().freeze();
    let frozen_at = Instant::now();
    let port = url
        .rsplit_once('/')
        .unwrap()
        .0
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    assert!(
        is_port_taken(port),
        "a frozen server still takes connections"
    );
    postgres.process().thaw();
    assert!(frozen_at.elapsed() < Duration::from_secs(20));

    let processes = noted_processes(data.path());
    postgres.process().kill().unwrap();
    assert!(!processes.into_iter().any(exists));
    assert!(!is_port_taken(port));
    postgres.restart().unwrap();
    assert_eq!(postgres.url("orderly"), url);
    assert_eq!(
        postgres.query("orderly", "SELECT value FROM kept").unwrap(),
        "42"
    );
    let processes = noted_processes(data.path());
    assert_eq!(processes.len(), 1);
    drop(postgres);
    assert!(!processes.into_iter().any(exists));
    assert!(noted_processes(data.path()).is_empty());
}

#[test]
fn data_of_another_postgres_is_rejected() {
    let checkout = Checkout::new("major");
    let data = data(&checkout);
    fs::create_dir(data.path().join("postgres")).unwrap();
    fs::write(data.path().join("postgres/PG_VERSION"), "9\n").unwrap();
    let programs = find_or_install_postgres(None).unwrap();
    let major = programs.major;
    let error = Postgres::start(&data, programs, OPTIONS)
        .unwrap_err()
        .to_string();
    let expected = format!(
        "the data is of Postgres 9 and only {major} is installed: install 9, or drop the data with 'make clean-data'"
    );
    assert_eq!(error, expected);
}

#[test]
fn wrong_option_is_reported_with_log() {
    let checkout = Checkout::new("option");
    let data = data(&checkout);
    let options = PostgresOptions {
        settings: &["no_such_option=1"],
        ..OPTIONS
    };
    let programs = find_or_install_postgres(None).unwrap();
    let error = Postgres::start(&data, programs, options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("postgres.log ends with: ") && error.contains("no_such_option"),
        "{error}"
    );
    assert!(noted_processes(data.path()).is_empty());
}

#[test]
fn killed_redis_restarts_on_its_port() {
    let checkout = Checkout::new("redis");
    let data = data(&checkout);
    let program = find_or_install_redis().unwrap();
    let mut redis = Redis::start(&data, program, None, &[]).unwrap();
    let url = redis.url();
    redis.process().kill().unwrap();
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    redis.process().freeze();
    let processes = noted_processes(data.path());
    let began = Instant::now();
    drop(redis);
    assert!(!processes.into_iter().any(exists));
    let is_graceful = began.elapsed() < Duration::from_secs(10);
    assert!(is_graceful, "a frozen server stops before SIGKILL");
}
