//! `orderly config --schema` against `orderly config --json`: neither knows a setting that the other does not.

use serde_json::Value;

use super::{ConfigDir, config_dir};

fn json(dir: &ConfigDir, arguments: &[&str]) -> Vec<Value> {
    let output = dir.run(arguments);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn schema_lists_every_setting_with_its_default() {
    let dir = config_dir("schema");
    let schema = json(&dir, &["config", "--schema"]);
    let values = json(&dir, &["config", "--json"]);
    let defaults = |list: &[Value], name: &str| {
        let mut pairs: Vec<String> = (list.iter())
            .map(|setting| format!("{} = {}", setting["key"], setting[name]))
            .collect();
        pairs.sort();
        pairs
    };
    assert_eq!(defaults(&schema, "default"), defaults(&values, "value"));
    for setting in &schema {
        let text = |name: &str| setting[name].as_str().unwrap_or_default();
        assert!(text("doc").len() > 10, "{setting}");
        assert!(!text("allowed").is_empty(), "{setting}");
    }
}

/// The schema has the range from the check that enforces it, so that a doc comment can't contradict it.
#[test]
fn every_range_is_in_schema_and_not_in_docs() {
    for setting in json(&config_dir("schema-ranges"), &["config", "--schema"]) {
        let words = |name: &str| -> Vec<String> {
            let text = setting[name].as_str().unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let has_range = |words: &[String]| {
            words.windows(3).any(|part| {
                part[1] == "to" && part[2].starts_with(|first: char| first.is_ascii_digit())
            })
        };
        if matches!(
            setting["kind"].as_str(),
            Some("integer" | "number" | "duration")
        ) {
            assert!(has_range(&words("allowed")), "{setting}");
        }
        assert!(!has_range(&words("doc")), "{setting}");
    }
}

#[test]
fn schema_describes_each_setting() {
    let schema = json(&config_dir("schema-shape"), &["config", "--schema"]);
    let shown = |key: &str| {
        let setting = schema.iter().find(|setting| setting["key"] == key);
        setting.unwrap().to_string()
    };
    insta::assert_snapshot!(shown("http.workers"), @r#"{"allowed":"a whole number from 1 to 256","default":1,"doc":"Worker threads. Each runs an event loop of its own. About one for two cores: the other half is taken by the main runtime, which serves the connections to Postgres and works on new orders.","file_variable":null,"key":"http.workers","kind":"integer","secret":false,"variable":"ORDERLY__HTTP__WORKERS"}"#);
    insta::assert_snapshot!(shown("database.url"), @r#"{"allowed":"a URL such as postgres://user:password@host:5432/database","default":null,"doc":"Where it is: `postgres://user:password@host:5432/database`, with `?sslmode=verify-full` for TLS to a server whose certificate is checked, `require` for TLS to whoever answers, `disable` (or nothing) for none.","file_variable":"ORDERLY__DATABASE__URL_FILE","key":"database.url","kind":"text","secret":true,"variable":"ORDERLY__DATABASE__URL"}"#);
    insta::assert_snapshot!(shown("log.format"), @r#"{"allowed":"pretty or json","default":"pretty","doc":"`pretty` for people, `json` for collectors.","file_variable":null,"key":"log.format","kind":"choice","secret":false,"variable":"ORDERLY__LOG__FORMAT"}"#);
    insta::assert_snapshot!(shown("shutdown.drain_timeout"), @r#"{"allowed":"a duration from 0s to 10m","default":"20s","doc":"For requests in flight. Longer than `http.request_timeout`, after which there are none; otherwise the start warns.","file_variable":null,"key":"shutdown.drain_timeout","kind":"duration","secret":false,"variable":"ORDERLY__SHUTDOWN__DRAIN_TIMEOUT"}"#);
}
