//! What is shipped: the files of `config/`, and what the program answers about itself.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use orderly::config::{LoadedConfig, LogFormat};

use super::{config_dir, ed25519_pem};

#[test]
fn shipped_config_files_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let key = ed25519_pem();
    let load = |environment: &str, files: &[&str]| {
        let mut dir = config_dir(&format!("shipped-{environment}-{}", files.len()))
            .variable("ORDERLY_ENV", environment)
            .variable("ORDERLY__AUTH__SIGNING_KEY", &key);
        for file in files {
            let text = fs::read_to_string(root.join("config").join(file)).unwrap();
            dir = dir.file(&format!("config/{file}"), &text);
        }
        dir.load()
    };
    load("development", &["default.toml", "development.toml"]);
    let production = load("production", &["default.toml", "production.toml"]);
    assert_eq!(production.settings.log.format, LogFormat::Json);

    // default.toml shows the built-in values, and must not drift from them.
    let values = |loaded: LoadedConfig| -> Vec<_> {
        loaded
            .entries()
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect()
    };
    assert_eq!(
        values(load("test", &["default.toml"])),
        values(load("test", &[]))
    );

    let example = fs::read_to_string(root.join(".env.example")).unwrap();
    config_dir("example").file(".env", &example).load();
}

#[test]
fn invalid_configuration_exits_with_78() {
    let output = config_dir("exit-code")
        .variable("ORDERLY__HTTP__PORT", "none")
        .run(&["config"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    The configuration has 1 problem:

      ORDERLY__HTTP__PORT (environment)
        is "none"
        expected a whole number from 0 to 65535
    "#);

    let output = config_dir("no-directory").run(&["config", "--config-dir", "nowhere"]);
    assert_eq!(output.status.code(), Some(78));
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    The configuration has 1 problem:

      --config-dir
        is nowhere
        expected a directory that exists
    ");
}

#[test]
fn version_reports_build() {
    let output = config_dir("version").run(&["version", "--json"]);
    let build: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    for key in ["commit", "build_date", "rustc", "target"] {
        assert!(
            build[key].as_str().is_some_and(|text| !text.is_empty()),
            "{build}"
        );
    }
}
