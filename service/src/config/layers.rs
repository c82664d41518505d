//! Where settings come from, and what each place says.
//!
//! A layer is a flat list of [`LayerValue`]s: `http.port` = `8080`, from `config/default.toml`. It is only read here; what
//! is known and allowed is validated in [`super::merge`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::dotenv::is_read_by_service;
use super::env_variable::{CONFIG_DIR, ENVIRONMENT, EnvVariable, Name, parse_name};
use super::error::ConfigProblem;
use super::keys::flatten;
use super::merge::suggest_setting;
use super::setting_type::choices;
use super::text_form::text_fault;
use super::{ConfigSources, Environment, Origin, otel, readers, variable_name};

/// One setting as one layer gives it.
pub(super) struct LayerValue {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What all the layers say, in order.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) values: Vec<LayerValue>,
    /// The environment, and where it was chosen.
    pub(super) environment: (Environment, Origin),
    /// Where the files are.
    pub(super) directory: PathBuf,
    /// Names of variables that are meant for telemetry and have no effect.
    pub(super) ignored_variables: Vec<String>,
    /// What could not be read at all.
    pub(super) problems: Vec<ConfigProblem>,
}

/// Reads every layer.
pub(super) fn read_layers(sources: &ConfigSources) -> Layers {
    let mut layers = Layers::default();
    let mut variables = layers.read_dotenv(&sources.dotenv);
    variables.extend(layers.read_environment(&sources.variables));
    let find_last = |name: &str| {
        variables
            .iter()
            .rfind(|variable| variable.name == name && !variable.value.is_empty())
    };

    let directory = layers.resolve_directory(sources, find_last(CONFIG_DIR));
    layers.read_file(&directory.join("default.toml"));
    if let Some(environment) = layers.select_environment(find_last(ENVIRONMENT)) {
        layers.read_file(&directory.join(format!("{environment}.toml")));
    }
    layers.read_file(&directory.join("local.toml"));
    layers.read_otel_variables(&variables);
    for variable in &variables {
        match parse_name(variable) {
            Name::Foreign => {}
            Name::Misspelt(key) => layers.push_misspelt(variable, &key),
            Name::Key(key) => {
                layers.push_value(key, variable.value.clone().into(), &variable.origin)
            }
            Name::SecretFile(key) => layers.read_secret(&key, variable, &variables),
        }
    }
    for (key, value) in &sources.flags.set {
        layers.push_value(key.clone(), value.as_str().into(), &Origin::Flag);
    }
    layers.directory = directory;
    layers
}

impl Layers {
    fn push_value(&mut self, key: String, value: Value, origin: &Origin) {
        self.values.push(LayerValue {
            key,
            value,
            origin: origin.clone(),
        });
    }

    fn push_problem(
        &mut self,
        location: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.problems
            .push(ConfigProblem::new("", location, message, fix));
    }

    fn resolve_directory(
        &mut self,
        sources: &ConfigSources,
        variable: Option<&EnvVariable>,
    ) -> PathBuf {
        let (directory, location) = match (&sources.flags.config_dir, variable) {
            (Some(directory), _) => (directory.clone(), "--config-dir".to_owned()),
            (None, Some(variable)) => ((&variable.value).into(), variable.location()),
            // Not chosen by anyone, so it may be missing: the defaults serve.
            (None, None) => return "config".into(),
        };
        let fault = directory.to_str().and_then(text_fault);
        if let Some(fault) = fault {
            self.push_problem(location, fault.message, fault.fix);
        } else if !directory.is_dir() {
            self.push_problem(
                location,
                format!("is {}", directory.display()),
                "expected a directory that exists",
            );
        }
        directory
    }

    /// `None` when the choice is not one of those there are.
    fn select_environment(&mut self, variable: Option<&EnvVariable>) -> Option<Environment> {
        if let Some(variable) = variable {
            let Ok(environment) = Environment::deserialize(Value::from(&*variable.value)) else {
                let message = format!("is {:?}", variable.value);
                self.push_problem(
                    variable.location(),
                    message,
                    format!("expected {}", choices::<Environment>()),
                );
                return None;
            };
            self.environment = (environment, variable.origin.clone());
        }
        Some(self.environment.0)
    }

    fn read_file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        match readers::read_toml(path) {
            Ok(tree) => {
                for (key, value) in tree.map(flatten).unwrap_or_default() {
                    self.push_value(key, value, &origin);
                }
            }
            Err(fault) => {
                self.push_problem(path.display().to_string(), fault.message, fault.fix);
            }
        }
    }

    /// A secret in a file, as Docker, Kubernetes and systemd hand them out. An empty path is none.
    fn read_secret(&mut self, key: &str, variable: &EnvVariable, variables: &[EnvVariable]) {
        let EnvVariable { value, origin, .. } = variable;
        if value.is_empty() {
            return;
        }
        let direct = variable_name(key);
        let is_ambiguous = (variables.iter()).any(|other| {
            other.name == direct && other.origin == *origin && !other.value.is_empty()
        });
        let problem =
            |message: String, fix: &str| ConfigProblem::new(key, variable.location(), message, fix);
        if is_ambiguous {
            let message = format!("is set, and so is {direct}");
            self.problems.push(problem(message, "keep one of the two"));
        } else if let Some(fault) = text_fault(value) {
            self.problems.push(problem(fault.message, fault.fix));
        } else {
            let path = Path::new(value);
            match readers::read_secret(path) {
                Ok(secret) => self.push_value(
                    key.to_owned(),
                    secret.into(),
                    &Origin::File(path.to_owned()),
                ),
                Err(fault) => {
                    let message = format!("is {value}, which {}", fault.message);
                    self.problems.push(problem(message, &fault.fix));
                }
            }
        }
    }

    fn read_otel_variables(&mut self, variables: &[EnvVariable]) {
        let translated = otel::translate(variables);
        self.values.extend(translated.values);
        self.ignored_variables = translated.ignored;
        for (location, expected) in translated.faults {
            self.push_problem(location, "has a value that is not supported", expected);
        }
    }

    fn push_misspelt(&mut self, variable: &EnvVariable, key: &str) {
        let fix = suggest_setting(key, &variable.origin);
        self.push_problem(variable.location(), "is not a setting", fix);
    }

    fn read_dotenv(&mut self, path: &Path) -> Vec<EnvVariable> {
        let (variables, faults) = readers::read_dotenv(path);
        for fault in faults {
            self.push_problem(path.display().to_string(), fault.message, fault.fix);
        }
        let variables = variables.into_iter().map(|(name, value)| EnvVariable {
            name,
            value,
            origin: Origin::DotEnv,
        });
        variables.collect()
    }

    /// A value that is not UTF-8 could only be read with some of its bytes replaced.
    fn read_environment(&mut self, environment: &BTreeMap<OsString, OsString>) -> Vec<EnvVariable> {
        let mut variables = Vec::new();
        for (name, value) in environment {
            let readable_name = name.to_string_lossy();
            if !is_read_by_service(&readable_name) {
                continue;
            }
            match (name.to_str(), value.to_str()) {
                (Some(name), Some(value)) => variables.push(EnvVariable {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    origin: Origin::Environment,
                }),
                _ => self.push_problem(
                    format!("{readable_name} ({})", Origin::Environment),
                    "is not UTF-8",
                    "write it in UTF-8",
                ),
            }
        }
        variables
    }
}
