//! URLs are taken as a whole: a part that would be ignored, repaired or overwritten is rejected.

use super::config_dir;

/// Asserts that the message names the variable and gives this reason, without a part of the URL.
fn assert_url_rejected(variable: &str, url: &str, reason: &str) {
    let dir = config_dir(&format!("wrong-{variable}")).variable(variable, url);
    let message = dir.error_message();
    assert!(message.contains(variable), "{url}: {message}");
    assert!(message.contains(reason), "{url}: {message}");
    assert!(!message.contains("canary"), "{url}: {message}");
}

fn assert_url_accepted(variable: &str, url: &str) {
    config_dir(&format!("good-{variable}"))
        .variable(variable, url)
        .load();
}

#[test]
fn rejects_postgres_urls_with_ineffective_parts() {
    let variable = "ORDERLY__DATABASE__URL";
    for (url, reason) in [
        ("POSTGRES://db/o1", "expected a URL such as"),
        ("host=db dbname=o1", "expected a URL such as"),
        ("postgres:db/o1", "expected a URL such as"),
        ("postgres:///o1", "names no host"),
        ("postgres://u:canary@/o1", "names no host"),
        ("postgres://db:port/o1", "expected a URL such as"),
        ("postgres://db1,,db2/o1", "names an empty host"),
        // Parts of a password that would become the host, the port or a parameter.
        ("postgres://u:p@canary@db/o1", "write @ as %40"),
        ("postgres://u:5432/canary@db/o1", "/ as %2F"),
        ("postgres://u:5432?canary=1@db/o1", "not supported"),
        ("postgres://u:5432?canary@db/o1", "not supported"),
        ("postgres://u:canary@db/o1#fragment", "# as %23"),
        // Escapes.
        ("postgres://u:100%xcanary@db/o1", "write % itself as %25"),
        ("postgres://u:canary%@db/o1", "write % itself as %25"),
        ("postgres://u:canary%4@db/o1", "write % itself as %25"),
        ("postgres://u:canary%00@db/o1", "control character"),
        ("postgres://u:canary@db/o1%0a", "control character"),
        ("postgres://u%ff:canary@db/o1", "not UTF-8"),
        // Parameters.
        (
            "postgres://db/o1?sslmode=require&sslmode=disable",
            "sslmode: given twice",
        ),
        (
            "postgres://db/o1?ssl%6dode=prefer",
            "sslmode: expected disable, require",
        ),
        ("postgres://db/o1?SSLMODE=require", "not supported"),
        (
            "postgres://db/o1?application_name=canary",
            "set database.application_name",
        ),
        (
            "postgres://db/o1?connect_timeout=1",
            "set database.connect_timeout",
        ),
        (
            "postgres://db/o1?tcp_user_timeout=1",
            "set database.tcp_user_timeout",
        ),
        ("postgres://db/o1?keepalives=0", "database.keepalive"),
        (
            "postgres://db/o1?keepalives_idle=1",
            "set database.keepalive",
        ),
        (
            "postgres://db/o1?options=-csearch_path%3Dcanary",
            "options: leave it out",
        ),
        ("postgres://db/o1?user=canary", "in front of the host"),
        ("postgres://db/o1?password=canary", "in front of the host"),
        ("postgres://db/o1?dbname=canary", "after the host"),
        ("postgres://db/o1?host=canary", "host: given twice"),
        ("postgres://db/o1?port=1", "port: given twice"),
        (
            "postgres://db/o1?target_session_attrs=primary",
            "expected one of any, read-write",
        ),
        (
            "postgres://db/o1?channel_binding=",
            "expected one of disable, prefer, require",
        ),
        ("postgres://db/o1?keepalives_interval=0", "from 1 to 32767"),
        ("postgres://db/o1?keepalives_retries=+3", "from 1 to 32767"),
        (
            "postgres://db/o1?sslrootcert=ca.crt",
            "as database.ca_certificate",
        ),
        ("postgres://db/o1?passfile=canary", "not supported"),
        ("postgres://db/o1?sslmode", "not supported"),
        ("postgres://db/o1?", "not supported"),
        ("postgres://db/o1?sslmode=disable&", "not supported"),
    ] {
        assert_url_rejected(variable, url, reason);
    }
    for url in [
        "postgres://db/o1",
        "postgresql://u:canary@db:5433/o1",
        "postgres://u:pa%40%2F%3F%25%23@[::1]:5433/o%201",
        "postgres://u:pa%ffss@db/o1",
        "postgres://db1:5432,db2:5433/o1?target_session_attrs=read-write&load_balance_hosts=random",
        "postgres://u@/o1?host=%2Frun%2Fpostgresql&port=5433",
        "postgres:///o1?host=/run/postgresql",
        "postgres://db/o1?sslmode=require&channel_binding=require&keepalives_interval=5",
    ] {
        assert_url_accepted(variable, url);
    }
}

#[test]
fn rejects_redis_urls_with_ineffective_parts() {
    let variable = "ORDERLY__REDIS__URL";
    for url in [
        "canary",
        "REDIS://cache",
        "http://cache",
        "redis:cache",
        "redis:///0",
        "redis://cache/abc",
        "redis://cache/-1",
        "redis://cache/+1",
        "redis://cache/0/",
        "redis://cache//0",
        "redis://cache/0?db=3",
        "redis://cache?protocol=resp3",
        "redis://cache?",
        "redis://cache#canary",
        "rediss://cache#insecure",
        // A password in the place of the user, and one that is empty: no password would be sent.
        "redis://canary@cache",
        "redis://:@cache",
        "redis://user:@cache",
        "redis://:canary%zz@cache",
        "redis://:canary%@cache",
        "redis://:pa/canary@cache",
        "redis://:pa?canary@cache",
        "redis://:pa#canary@cache",
        "redis://0.0.0.0",
        "redis://cache:99999",
        "redis+unix:///run/redis.sock?database=1",
        "redis+unix:///run/redis.sock?db=1&db=2",
        "redis+unix:///run/redis.sock?db=x",
    ] {
        assert_url_rejected(variable, url, "expected a URL such as redis://");
    }
    for url in [
        "redis://cache",
        "redis://cache/",
        "redis://cache:6380/15",
        "rediss://:pa%40ss%25@cache/0",
        "redis://user:password@[::1]:6379",
        "redis+unix:///run/redis.sock",
        "unix:///run/redis.sock?db=1&pass=x",
    ] {
        assert_url_accepted(variable, url);
    }
}

#[test]
fn rejects_http_urls_with_ineffective_parts() {
    let gateway = "ORDERLY__PAYMENTS__GATEWAY_URL";
    for url in [
        "",
        "pay.example",
        "http:pay.example",
        "http:/pay.example",
        "http:///pay.example",
        "http:\\\\pay.example",
        "HTTP://pay.example",
        "https://pay.example/a/../b",
        "https://pay.example/a b",
        "https://pay.example?key=canary",
        "https://pay.example#canary",
        "https://user:canary@pay.example",
        "https://canary@pay.example",
        "https://pay%2Eexample",
        "http://127.1",
        "https://pay.example:0443",
        "ftp://pay.example",
    ] {
        assert_url_rejected(gateway, url, "expected an http or https URL");
    }
    for url in [
        "https://pay.example",
        "https://Pay.Example/",
        "https://pay.example:443",
        "http://pay.example:80/v2",
        "http://[::1]:8090/v2/",
        "http://127.0.0.1:8090",
    ] {
        assert_url_accepted(gateway, url);
    }
    let collector = "ORDERLY__TELEMETRY__OTLP_ENDPOINT";
    for url in [
        "https://collector:4317",
        "http://collector:4317/v1/traces",
        "collector:4317",
    ] {
        assert_url_rejected(collector, url, "expected an http URL");
    }
    assert_url_accepted(collector, "http://collector:4317/");
}
