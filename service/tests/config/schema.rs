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
        let has_bounds = matches!(text("kind"), "integer" | "number" | "duration" | "choice");
        assert_eq!(!text("allowed").is_empty(), has_bounds, "{setting}");
    }
}

#[test]
fn schema_describes_each_setting() {
    let schema = json(&config_dir("schema-shape"), &["config", "--schema"]);
    let shown = |key: &str| {
        let setting = schema.iter().find(|setting| setting["key"] == key);
        setting.unwrap().to_string()
    };
    insta::assert_snapshot!(shown("http.workers"), @r#"{"allowed":"1 to 256","default":1,"doc":"Worker threads, 1 to 256. Each runs an event loop of its own. About one for two cores: the other half is taken by the main runtime, which serves the connections to Postgres and works on new orders.","file_variable":null,"key":"http.workers","kind":"integer","secret":false,"variable":"ORDERLY__HTTP__WORKERS"}"#);
    insta::assert_snapshot!(shown("database.url"), @r#"{"allowed":null,"default":null,"doc":"Where it is: `postgres://user:password@host:5432/database`, with `?sslmode=verify-full` for TLS to a server whose certificate is checked, `require` for TLS to whoever answers, `disable` (or nothing) for none.","file_variable":"ORDERLY__DATABASE__URL_FILE","key":"database.url","kind":"text","secret":true,"variable":"ORDERLY__DATABASE__URL"}"#);
    insta::assert_snapshot!(shown("log.format"), @r#"{"allowed":"`pretty` or `json`","default":"pretty","doc":"`pretty` for people, `json` for collectors.","file_variable":null,"key":"log.format","kind":"choice","secret":false,"variable":"ORDERLY__LOG__FORMAT"}"#);
    insta::assert_snapshot!(shown("shutdown.drain_timeout"), @r#"{"allowed":"0ns to 600s","default":"20s","doc":"For requests in flight, 0s to 10m. Longer than `http.request_timeout`, after which there are none; otherwise the start warns.","file_variable":null,"key":"shutdown.drain_timeout","kind":"duration","secret":false,"variable":"ORDERLY__SHUTDOWN__DRAIN_TIMEOUT"}"#);
}
