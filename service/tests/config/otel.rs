//! Standard `OTEL_*` variables: what they set, what wins over them, and what has no effect.

use std::time::Duration;

use insta::assert_snapshot;
use orderly::config::Compression;
use serde_json::json;

use super::{ConfigDir, config_dir, entry};

fn shown(dir: &ConfigDir, key: &str) -> (serde_json::Value, String) {
    let entry = entry(&dir.load(), key);
    (entry.value, entry.origin.to_string())
}

#[test]
fn each_supported_variable_sets_its_setting() {
    for (variable, value, key, expected) in [
        (
            "OTEL_SERVICE_NAME",
            "shop",
            "telemetry.service_name",
            json!("shop"),
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=shop, deployment.environment.name=test%2C1",
            "telemetry.resource_attributes",
            json!(["team=shop", "deployment.environment.name=test%2C1"]),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://c:4317",
            "telemetry.otlp_endpoint",
            json!("http://c:4317"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://c:4317/",
            "telemetry.otlp_endpoint",
            json!("http://c:4317/"),
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Basic%20canary",
            "telemetry.otlp_headers",
            json!("[redacted]"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "X-Tenant=a,y=b",
            "telemetry.otlp_headers",
            json!("[redacted]"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10000",
            "telemetry.export_timeout",
            json!("10s"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "1500",
            "telemetry.export_timeout",
            json!("1s 500ms"),
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "gzip",
            "telemetry.compression",
            json!("gzip"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "none",
            "telemetry.compression",
            json!("none"),
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "parentbased_always_off",
            "telemetry.sampling_ratio",
            json!(0.0),
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "always_on",
            "telemetry.parent_based_sampling",
            json!(false),
        ),
        (
            "OTEL_SDK_DISABLED",
            "TRUE",
            "telemetry.enabled",
            json!(false),
        ),
        (
            "OTEL_TRACES_EXPORTER",
            "none",
            "telemetry.enabled",
            json!(false),
        ),
        (
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "2048",
            "telemetry.queue_size",
            json!(2048),
        ),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "100",
            "telemetry.batch_size",
            json!(100),
        ),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "5000",
            "telemetry.batch_delay",
            json!("5s"),
        ),
    ] {
        let dir = config_dir("otel-each").variable(variable, value);
        assert_eq!(
            shown(&dir, key),
            (expected, variable.to_owned()),
            "{variable}"
        );
        assert!(dir.load().ignored_variables.is_empty(), "{variable}");
        let dotenv = config_dir("otel-dotenv").file(".env", &format!("{variable}='{value}'"));
        assert_eq!(shown(&dotenv, key).1, variable);
    }
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_SDK_DISABLED", "false"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER_ARG", ""),
        ("OTEL_PROPAGATORS", ""),
    ] {
        let loaded = config_dir("otel-same").variable(variable, value).load();
        assert!(loaded.ignored_variables.is_empty(), "{variable}");
    }
}

#[test]
fn samplers_set_ratio_and_parent() {
    for (sampler, argument, expected) in [
        ("always_on", "", (1.0, false)),
        ("always_off", "", (0.0, false)),
        ("traceidratio", "0.25", (0.25, false)),
        ("traceidratio", "", (1.0, false)),
        ("parentbased_always_on", "", (1.0, true)),
        ("parentbased_always_off", "", (0.0, true)),
        ("parentbased_traceidratio", "0.25", (0.25, true)),
    ] {
        let telemetry = config_dir("otel-sampler")
            .variable("OTEL_TRACES_SAMPLER", sampler)
            .variable("OTEL_TRACES_SAMPLER_ARG", argument)
            .load()
            .settings
            .telemetry;
        let found = (telemetry.sampling_ratio, telemetry.parent_based_sampling);
        assert_eq!(found, expected, "{sampler}");
    }
    let unused = config_dir("otel-argument")
        .variable("OTEL_TRACES_SAMPLER", "always_on")
        .variable("OTEL_TRACES_SAMPLER_ARG", "none of it")
        .load();
    assert_eq!(unused.ignored_variables, ["OTEL_TRACES_SAMPLER_ARG"]);
}

#[test]
fn own_variables_win_over_standard_ones_and_these_over_files() {
    let key = "telemetry.otlp_endpoint";
    let dir = config_dir("otel-order").file(
        "config/local.toml",
        "telemetry.otlp_endpoint = 'http://file:1'",
    );
    let dir = dir.variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1");
    assert_eq!(shown(&dir, key).0, "http://all:1");
    let dir = dir.file(".env", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://dotenv:1");
    assert_eq!(shown(&dir, key).0, "http://dotenv:1");
    let dir = dir.variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1");
    assert_eq!(shown(&dir, key).0, "http://traces:1");
    let dir = dir.variable("ORDERLY__TELEMETRY__OTLP_ENDPOINT", "http://own:1");
    assert_eq!(
        shown(&dir, key),
        (json!("http://own:1"), "environment".into())
    );
    let dir = dir.flag(key, "http://flag:1");
    assert_eq!(shown(&dir, key).0, "http://flag:1");

    let telemetry = config_dir("otel-headers")
        .variable("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .variable("ORDERLY__TELEMETRY__COMPRESSION", "none")
        .variable("ORDERLY__TELEMETRY__EXPORT_TIMEOUT", "1s")
        .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "9000")
        .load()
        .settings
        .telemetry;
    assert_eq!(telemetry.compression, Compression::None);
    assert_eq!(telemetry.export_timeout, Duration::from_secs(1));
}

#[test]
fn unusable_values_name_their_variable() {
    for (variable, wrong, expected) in [
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zstd",
            "expected none or gzip",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            "expected grpc",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json",
            "expected grpc",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://c:4317",
            "expected an http URL",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://c:4318/v1/traces",
            "expected an http URL",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://c:4317\n",
            "remove it",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10s",
            "whole number of milliseconds",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "+1",
            "whole number of milliseconds",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "from 10ms to 1m"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "canary",
            "expected headers such as",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=1,,canary=2",
            "expected headers such as",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a b=canary",
            "expected headers such as",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=%canary",
            "expected headers such as",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "grpc-timeout=1S",
            "expected headers such as",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team",
            "expected attributes such as",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a,team=b",
            "expected attributes such as",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a,",
            "expected attributes such as",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=%zz",
            "expected attributes such as",
        ),
        ("OTEL_SERVICE_NAME", "shop ", "white space"),
        ("OTEL_SDK_DISABLED", "yes", "expected true or false"),
        ("OTEL_TRACES_EXPORTER", "console", "expected otlp or none"),
        ("OTEL_TRACES_SAMPLER", "xray", "expected always_on"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "expected a whole number"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "expected a whole number"),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "9000",
            "raise telemetry.queue_size",
        ),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "1e3",
            "whole number of milliseconds",
        ),
    ] {
        let dir = config_dir("otel-wrong").variable(variable, wrong);
        let message = dir.error_message();
        assert!(message.contains(variable), "{variable}: {message}");
        assert!(message.contains(expected), "{variable}: {message}");
        assert!(!message.contains("ORDERLY__"), "{variable}: {message}");
        assert!(!message.contains("canary"), "{variable}: {message}");
    }
    let ratio = config_dir("otel-ratio")
        .variable("OTEL_TRACES_SAMPLER", "traceidratio")
        .variable("OTEL_TRACES_SAMPLER_ARG", "1.5");
    assert_snapshot!(ratio.error_message(), @"
    The configuration has 1 problem:

      OTEL_TRACES_SAMPLER_ARG
        is 1.5
        expected a number from 0 to 1
    ");
}

#[test]
fn variables_without_effect_are_listed() {
    let dir = config_dir("otel-ignored")
        .file(".env", "OTEL_PROPAGATORS=b3")
        .variable("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")
        .variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.crt")
        .variable("OTEL_METRICS_EXPORTER", "otlp")
        .variable("otel_service_name", "shop")
        .variable("OTEL_SERVICE_NAM", "shop")
        .variable("OTEL_SERVICE_NAME", "shop");
    let expected = [
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_METRICS_EXPORTER",
        "OTEL_PROPAGATORS",
        "OTEL_SERVICE_NAM",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "otel_service_name",
    ];
    assert_eq!(dir.load().ignored_variables, expected);
    let shown = dir.run(&["config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let row = |line: &str| {
        line.starts_with("telemetry.service_name") && line.ends_with("OTEL_SERVICE_NAME")
    };
    assert!(shown.lines().any(row), "{shown}");
    assert!(
        shown.contains(&format!("Ignored: {}", expected.join(", "))),
        "{shown}"
    );
}
