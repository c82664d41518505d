//! The configuration, from outside: layers, the report of mistakes, and that no secret ever shows.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod cross_field_validation;
mod errors;
mod exact_values;
mod layers;
mod otel;
mod schema;
mod secret_files;
mod secret_masking;
mod shipped_files;
mod tls;
mod urls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use orderly::config::{self, ConfigEntry, ConfigSources, LoadedConfig};

/// A directory with a configuration in it, and an environment of its own.
struct ConfigDir {
    directory: PathBuf,
    inputs: ConfigSources,
}

/// Each test gives its own name, so that none sees another's files.
fn config_dir(test: &str) -> ConfigDir {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("config")
        .join(test);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(directory.join("config")).unwrap();
    let mut inputs = ConfigSources {
        dotenv: directory.join(".env"),
        ..ConfigSources::default()
    };
    inputs.flags.config_dir = Some(directory.join("config"));
    ConfigDir { directory, inputs }
}

impl ConfigDir {
    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory.join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.inputs.variables.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.inputs.flags.set.push((key.into(), value.into()));
        self
    }

    fn load(&self) -> LoadedConfig {
        config::load_from(&self.inputs)
            .map_err(|error| error.to_string())
            .unwrap()
    }

    /// The message, with the directory's path left out.
    fn error_message(&self) -> String {
        let error = config::load_from(&self.inputs)
            .map(|loaded| loaded.entries())
            .expect_err("the configuration is wrong");
        error
            .to_string()
            .replace(&format!("{}/", self.directory.display()), "")
    }

    /// Runs the binary here, with nothing of the tests' own environment.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_orderly"))
            .args(arguments)
            .env_clear()
            .envs(&self.inputs.variables)
            .current_dir(&self.directory)
            .output()
            .unwrap()
    }
}

fn entry(loaded: &LoadedConfig, key: &str) -> ConfigEntry {
    loaded
        .entries()
        .into_iter()
        .find(|entry| entry.key == key)
        .unwrap()
}

fn ed25519_pem() -> String {
    use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
    use base64::Engine;
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}
