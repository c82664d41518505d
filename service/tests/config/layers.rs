//! Which layer wins, and what each may say.

use std::fs;

use garde::Validate;
use orderly::config::{self, ConfigEntry, Environment, Origin, Settings};

use super::{ConfigDir, config_dir, entry};

#[test]
fn built_in_defaults_are_valid() {
    Settings::default().validate().unwrap();
    let settings = config_dir("defaults").load().settings;
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.http.port, 8080);
}

#[test]
fn each_layer_overrides_previous_ones() {
    let expect = |dir: ConfigDir, port: u16, origin: &str| {
        let loaded = dir.load();
        assert_eq!(loaded.settings.http.port, port);
        let shown = entry(&loaded, "http.port").origin.to_string();
        assert!(
            shown.ends_with(origin),
            "{shown} does not end with {origin}"
        );
        dir
    };
    let dir = config_dir("layers");
    let dir = expect(dir, 8080, "default");
    let dir = dir.file("config/default.toml", "http.port = 1");
    let dir = expect(dir, 1, "config/default.toml");
    let dir = dir.file("config/development.toml", "http.port = 2");
    let dir = expect(dir, 2, "config/development.toml");
    let dir = dir.file("config/local.toml", "http.port = 3");
    let dir = expect(dir, 3, "config/local.toml");
    let dir = dir.file(".env", "ORDERLY__HTTP__PORT=4");
    let dir = expect(dir, 4, ".env");
    let dir = dir.variable("ORDERLY__HTTP__PORT", "5");
    let dir = expect(dir, 5, "environment");
    let dir = dir.flag("http.port", "6");
    let dir = expect(dir, 6, "--set");
    expect(dir.flag("http.port", "7"), 7, "--set");
}

#[test]
fn reads_lists_and_booleans_from_variables_and_files() {
    let dir = config_dir("lists").file(
        "config/default.toml",
        "rate_limit.trusted_proxies = [\"10.0.0.0/8\"]",
    );
    let proxies = |dir: &ConfigDir| entry(&dir.load(), "rate_limit.trusted_proxies").value;
    assert_eq!(proxies(&dir), serde_json::json!(["10.0.0.0/8"]));
    let dir = dir
        .variable(
            "ORDERLY__RATE_LIMIT__TRUSTED_PROXIES",
            "fd00::/8, 192.168.0.1",
        )
        .variable("ORDERLY__RATE_LIMIT__ENABLED", "false");
    assert_eq!(
        proxies(&dir),
        serde_json::json!(["fd00::/8", "192.168.0.1/32"])
    );
    assert!(!dir.load().settings.rate_limit.enabled);
    let dir = dir.variable("ORDERLY__RATE_LIMIT__TRUSTED_PROXIES", "");
    assert_eq!(proxies(&dir), serde_json::json!([]));
}

#[test]
fn reads_fraction_from_variable() {
    let dir = config_dir("share").variable("ORDERLY__BREAKER__FAILURE_RATE_THRESHOLD", "0.25");
    assert_eq!(dir.load().settings.breaker.failure_rate_threshold, 0.25);
    let message = config_dir("no-share")
        .variable("ORDERLY__BREAKER__FAILURE_RATE_THRESHOLD", "half")
        .error_message();
    assert!(
        message.contains("expected a number from 0.01 to 1"),
        "{message}"
    );
}

#[test]
fn layer_keeps_settings_it_does_not_name() {
    let dir = config_dir("siblings")
        .file("config/default.toml", "[http]\nport = 1\nworkers = 3")
        .variable("ORDERLY__HTTP__PORT", "2");
    let settings = dir.load().settings;
    assert_eq!((settings.http.port, settings.http.workers), (2, 3));
}

#[test]
fn environment_selects_its_file_and_may_be_set_in_dotenv() {
    let dir = config_dir("environment")
        .file("config/development.toml", "http.port = 1")
        .file("config/test.toml", "http.port = 2")
        .file(".env", "ORDERLY_ENV=test");
    let loaded = dir.load();
    assert_eq!(
        (loaded.settings.environment, loaded.settings.http.port),
        (Environment::Test, 2)
    );
    assert_eq!(entry(&loaded, "environment").origin, Origin::DotEnv);

    let loaded = dir.variable("ORDERLY_ENV", "development").load();
    assert_eq!(
        (loaded.settings.environment, loaded.settings.http.port),
        (Environment::Development, 1)
    );
}

#[test]
fn config_directory_can_be_set_by_variable() {
    let dir = config_dir("directory");
    fs::create_dir(dir.directory.join("elsewhere")).unwrap();
    let mut dir = dir.file("elsewhere/default.toml", "http.port = 1");
    dir.inputs.flags.config_dir = None;
    let elsewhere = dir.directory.join("elsewhere").display().to_string();
    let loaded = dir.variable("ORDERLY_CONFIG_DIR", &elsewhere).load();
    assert_eq!(loaded.settings.http.port, 1);
}

#[test]
fn every_setting_can_be_set_by_its_variable() {
    let mut dir = config_dir("every-setting");
    for ConfigEntry { key, value, .. } in dir.load().entries().into_iter().skip(1) {
        let text = match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text,
            serde_json::Value::Array(list) => (list.iter().filter_map(serde_json::Value::as_str))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        dir = dir.variable(&config::variable_name(&key), &text);
    }
    for entry in dir.load().entries().iter().skip(1) {
        assert_eq!(entry.origin, Origin::Environment, "{}", entry.key);
    }
}

#[test]
fn empty_variable_unsets_optional_setting() {
    let dir = config_dir("unset")
        .file("config/local.toml", "redis.url = 'redis://localhost'")
        .variable("ORDERLY__REDIS__URL", "");
    assert!(dir.load().settings.redis.url.is_none());
}

#[test]
fn ignores_variables_without_its_prefix() {
    // What Kubernetes sets for a service of that name.
    config_dir("others")
        .variable("ORDERLY_PORT", "tcp://10.0.0.1:8080")
        .variable("PATH", "/bin")
        .load();
}
