//! Where settings come from, and what each place says.
//!
//! A layer is a flat list of [`Given`]s: `http.port` = `8080`, from `config/default.toml`. It is only read here; what
//! is known and allowed is judged in [`super::merge`].

use std::path::{Path, PathBuf};

use config::{FileFormat, Source};
use serde::Deserialize;
use serde_json::Value;

use super::error::ConfigProblem;
use super::merge::is_secret;
use super::{ConfigSources, Environment, Origin, variable_name};

/// One setting as one layer gives it.
pub(super) struct LayerValue {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What all the layers say, in order.
#[derive(Default)]
pub(crate) struct Layers {
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
pub(super) fn read_layers(inputs: &ConfigSources) -> Layers {
    let mut layers = Layers::default();
    let dotenv = layers.read_dotenv(&inputs.dotenv);
    let from_dotenv = (dotenv.iter()).map(|(name, value)| EnvVariable {
        name,
        value,
        origin: Origin::DotEnv,
    });
    let from_environment = (inputs.variables.iter()).map(|(name, value)| EnvVariable {
        name,
        value,
        origin: Origin::Environment,
    });
    let variables: Vec<EnvVariable<'_>> = from_dotenv.chain(from_environment).collect();
    let find_last = |name: &str| {
        variables
            .iter()
            .rfind(|it| it.name == name && !it.value.is_empty())
    };

    let directory = layers.resolve_directory(inputs, find_last("ORDERLY_CONFIG_DIR"));
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
                let given_twice = (variables.iter())
                    .any(|it| it.name == direct && it.origin == *origin && !it.value.is_empty());
                layers.read_secret(
                    secret,
                    Path::new(value),
                    format!("{name} ({origin})"),
                    given_twice,
                );
            }
        }
    }
    for (key, value) in &inputs.flags.set {
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
        inputs: &ConfigSources,
        variable: Option<&EnvVariable<'_>>,
    ) -> PathBuf {
        let (directory, location) = match (&inputs.flags.config_dir, variable) {
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
                    "expected development, test or production",
                );
                return None;
            };
            self.environment = (environment, variable.origin.clone());
        }
        Some(self.environment.0)
    }

    fn read_file(&mut self, path: &Path) {
        // Missing is fine, out of reach is not.
        if let Ok(false) = path.try_exists() {
            return;
        }
        let origin = Origin::File(path.to_owned());
        let tree = config::File::from(path).format(FileFormat::Toml).collect();
        match tree.and_then(|tree| Value::deserialize(config::Value::from(tree))) {
            Ok(tree) => {
                for (key, value) in flatten(tree) {
                    self.push_value(key, value, &origin);
                }
            }
            Err(error) => {
                let reason = match error {
                    config::ConfigError::FileParse { cause, .. } => {
                        strip_excerpt(&cause.to_string())
                    }
                    other => other.to_string(),
                };
                self.push_problem(path.display().to_string(), "cannot be read", reason);
            }
        }
    }

    /// A secret in a file, as Docker, Kubernetes and systemd hand them out. An empty path is none.
    fn read_secret(&mut self, key: &str, path: &Path, location: String, given_twice: bool) {
        if path.as_os_str().is_empty() {
            return;
        }
        let problem = match (given_twice, std::fs::read_to_string(path)) {
            (false, Ok(text)) => {
                // Editors and `echo` end a file with a newline; no secret of ours does, but a PEM.
                let text = text.trim_end_matches(['\r', '\n']);
                return self.push_value(
                    key.to_owned(),
                    text.into(),
                    &Origin::File(path.to_owned()),
                );
            }
            (true, _) => (
                format!("is set, and so is {}", variable_name(key)),
                "keep one of the two".to_owned(),
            ),
            (false, Err(error)) => (
                format!("is {}, which cannot be read", path.display()),
                error.to_string(),
            ),
        };
        self.problems
            .push(ConfigProblem::new(key, location, problem.0, problem.1));
    }

    fn read_dotenv(&mut self, path: &Path) -> Vec<(String, String)> {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return Vec::new(),
            Err(error) => {
                self.push_problem(
                    path.display().to_string(),
                    "cannot be read",
                    error.to_string(),
                );
                return Vec::new();
            }
        };
        let mut variables = Vec::new();
        for line in lines {
            match line {
                Ok(variable) => variables.push(variable),
                // The error quotes the line, and the line may hold a secret.
                Err(_) => {
                    let message = match variables.last() {
                        Some((name, _)) => format!("cannot be read after {name}"),
                        None => "cannot be read at its first line".into(),
                    };
                    let fix = "expected NAME=value, with single quotes around a value that has spaces, # or $";
                    self.push_problem(path.display().to_string(), message, fix);
                    break;
                }
            }
        }
        variables
    }
}

/// The leaves of a tree, as `section.key` and value. A table without entries counts as a leaf.
pub(super) fn flatten(tree: Value) -> Vec<(String, Value)> {
    match tree {
        Value::Object(table) if !table.is_empty() => (table.into_iter())
            .flat_map(|(name, value)| {
                flatten(value)
                    .into_iter()
                    .map(move |(rest, leaf)| match rest.is_empty() {
                        true => (name.clone(), leaf),
                        false => (format!("{name}.{rest}"), leaf),
                    })
            })
            .collect(),
        leaf => vec![(String::new(), leaf)],
    }
}

/// A TOML error without its excerpt of the file (`3 | url = "postgres://…`), which may show a secret.
fn strip_excerpt(error: &str) -> String {
    let is_excerpt = |line: &&str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
            .starts_with('|')
    };
    error
        .lines()
        .filter(|line| !is_excerpt(line))
        .collect::<Vec<_>>()
        .join(": ")
}
