//! What the binary prints about itself.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

pub fn run_json(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_orderly"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every setting, as `config/schema.rs` describes it.
pub struct Schema(Value);

impl Schema {
    pub fn get() -> Self {
        Self(run_json(&["config", "--schema"]))
    }

    /// This field of each setting that has it.
    pub fn all(&self, field: &str) -> BTreeSet<String> {
        let settings = self.0.as_array().unwrap().iter();
        let fields = settings.filter_map(|setting| setting[field].as_str());
        fields.map(str::to_owned).collect()
    }

    /// What a setting is without any configuration, as a file would have it.
    pub fn default(&self, key: &str) -> String {
        let mut settings = self.0.as_array().unwrap().iter();
        let setting = settings.find(|setting| setting["key"] == key);
        setting.unwrap()["default"].to_string()
    }
}
