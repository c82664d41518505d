//! Where settings come from, and what each place says.
//!
//! A layer is a flat list of [`LayerValue`]s: `http.port` = `8080`, from `config/default.toml`. It is only read here; what
//! is known and allowed is validated in [`super::merge`].

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::error::ConfigProblem;
use super::keys::{flatten, is_secret};
use super::setting_type::choices;
use super::{ConfigSources, Environment, Origin, readers, variable_name};

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
    /// What could not be read at all.
    pub(super) problems: Vec<ConfigProblem>,
}

/// A variable of `.env` or of the environment.
struct EnvVariable<'a> {
    name: &'a str,
    value: &'a str,
    origin: Origin,
}

impl EnvVariable<'_> {
    fn location(&self) -> String {
        format!("{} ({})", self.name, self.origin)
    }
}

/// Reads every layer.
pub(super) fn read_layers(sources: &ConfigSources) -> Layers {
    let mut layers = Layers::default();
    let dotenv = layers.read_dotenv(&sources.dotenv);
    let from_dotenv = (dotenv.iter()).map(|(name, value)| EnvVariable {
        name,
        value,
        origin: Origin::DotEnv,
    });
    let from_environment = (sources.variables.iter()).map(|(name, value)| EnvVariable {
        name,
        value,
        origin: Origin::Environment,
    });
    let variables: Vec<EnvVariable<'_>> = from_dotenv.chain(from_environment).collect();
    let find_last = |name: &str| {
        variables
            .iter()
            .rfind(|variable| variable.name == name && !variable.value.is_empty())
    };

    let directory = layers.resolve_directory(sources, find_last("ORDERLY_CONFIG_DIR"));
    layers.read_file(&directory.join("default.toml"));
    if let Some(environment) = layers.select_environment(find_last("ORDERLY_ENV")) {
        layers.read_file(&directory.join(format!("{environment}.toml")));
    }
    layers.read_file(&directory.join("local.toml"));
    for EnvVariable {
        name,
        value,
        origin,
    } in &variables
    {
        // Two underscores: Kubernetes itself sets ORDERLY_PORT and the like for a service of that name.
        let Some(path) = name.strip_prefix("ORDERLY__") else {
            continue;
        };
        let key = path.to_lowercase().replace("__", ".");
        match key.strip_suffix("_file").filter(|key| is_secret(key)) {
            None => layers.push_value(key, (*value).into(), origin),
            Some(secret) => {
                let direct = variable_name(secret);
                let is_ambiguous = (variables.iter()).any(|other| {
                    other.name == direct && other.origin == *origin && !other.value.is_empty()
                });
                layers.read_secret(
                    secret,
                    Path::new(value),
                    format!("{name} ({origin})"),
                    is_ambiguous,
                );
            }
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
        variable: Option<&EnvVariable<'_>>,
    ) -> PathBuf {
        let (directory, location) = match (&sources.flags.config_dir, variable) {
            (Some(directory), _) => (directory.clone(), "--config-dir".to_owned()),
            (None, Some(variable)) => (variable.value.into(), variable.location()),
            // Not chosen by anyone, so it may be missing: the defaults serve.
            (None, None) => return "config".into(),
        };
        if !directory.is_dir() {
            self.push_problem(
                location,
                format!("is {}", directory.display()),
                "expected a directory that exists",
            );
        }
        directory
    }

    /// `None` when the choice is not one of those there are.
    fn select_environment(&mut self, variable: Option<&EnvVariable<'_>>) -> Option<Environment> {
        if let Some(variable) = variable {
            let Ok(environment) = Environment::deserialize(Value::from(variable.value)) else {
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
            Err(reason) => {
                self.push_problem(path.display().to_string(), "cannot be read", reason);
            }
        }
    }

    /// A secret in a file, as Docker, Kubernetes and systemd hand them out. An empty path is none.
    fn read_secret(&mut self, key: &str, path: &Path, location: String, is_ambiguous: bool) {
        if path.as_os_str().is_empty() {
            return;
        }
        let problem = |message, fix| ConfigProblem::new(key, location, message, fix);
        match (is_ambiguous, readers::read_secret(path)) {
            (false, Ok(secret)) => {
                let origin = Origin::File(path.to_owned());
                self.push_value(key.to_owned(), secret.into(), &origin);
            }
            (true, _) => self.problems.push(problem(
                format!("is set, and so is {}", variable_name(key)),
                "keep one of the two".to_owned(),
            )),
            (false, Err(error)) => self.problems.push(problem(
                format!("is {}, which cannot be read", path.display()),
                error.to_string(),
            )),
        }
    }

    fn read_dotenv(&mut self, path: &Path) -> Vec<(String, String)> {
        let (variables, problem) = readers::read_dotenv(path);
        if let Some(problem) = problem {
            self.push_problem(path.display().to_string(), problem.message, problem.fix);
        }
        variables
    }
}
