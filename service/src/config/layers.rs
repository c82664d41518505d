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
use super::{Environment, Inputs, Origin, variable};

/// One setting as one layer gives it.
pub(super) struct Given {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What all the layers say, in order.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) given: Vec<Given>,
    /// The environment, and where it was chosen.
    pub(super) environment: (Environment, Origin),
    /// Where the files are.
    pub(super) directory: PathBuf,
    /// What could not be read at all.
    pub(super) problems: Vec<ConfigProblem>,
}

/// A variable of `.env` or of the environment.
struct Variable<'a> {
    name: &'a str,
    value: &'a str,
    origin: Origin,
}

impl Variable<'_> {
    fn place(&self) -> String {
        format!("{} ({})", self.name, self.origin)
    }
}

/// Reads every layer.
pub(super) fn read(inputs: &Inputs) -> Layers {
    let mut layers = Layers::default();
    let dotenv = layers.read_dotenv(&inputs.dotenv);
    let from_dotenv = (dotenv.iter()).map(|(name, value)| Variable {
        name,
        value,
        origin: Origin::DotEnv,
    });
    let from_environment = (inputs.variables.iter()).map(|(name, value)| Variable {
        name,
        value,
        origin: Origin::Environment,
    });
    let variables: Vec<Variable<'_>> = from_dotenv.chain(from_environment).collect();
    let last = |name: &str| {
        variables
            .iter()
            .rfind(|it| it.name == name && !it.value.is_empty())
    };

    let directory = layers.config_directory(inputs, last("ORDERLY_CONFIG_DIR"));
    layers.read_file(&directory.join("default.toml"));
    if let Some(environment) = layers.choose_environment(last("ORDERLY_ENV")) {
        layers.read_file(&directory.join(format!("{environment}.toml")));
    }
    layers.read_file(&directory.join("local.toml"));
    for Variable {
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
            None => layers.push(key, (*value).into(), origin),
            Some(secret) => {
                let direct = variable(secret);
                let both = (variables.iter())
                    .any(|it| it.name == direct && it.origin == *origin && !it.value.is_empty());
                layers.read_secret(secret, Path::new(value), format!("{name} ({origin})"), both);
            }
        }
    }
    for (key, value) in &inputs.flags.set {
        layers.push(key.clone(), value.as_str().into(), &Origin::Flag);
    }
    layers.directory = directory;
    layers
}

impl Layers {
    fn push(&mut self, key: String, value: Value, origin: &Origin) {
        self.given.push(Given {
            key,
            value,
            origin: origin.clone(),
        });
    }

    fn problem(
        &mut self,
        place: impl Into<String>,
        fault: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.problems.push(ConfigProblem::new("", place, fault, cure));
    }

    fn config_directory(&mut self, inputs: &Inputs, variable: Option<&Variable<'_>>) -> PathBuf {
        let (directory, place) = match (&inputs.flags.config_dir, variable) {
            (Some(directory), _) => (directory.clone(), "--config-dir".to_owned()),
            (None, Some(variable)) => (variable.value.into(), variable.place()),
            // Not chosen by anyone, so it may be missing: the defaults serve.
            (None, None) => return "config".into(),
        };
        if !directory.is_dir() {
            self.problem(
                place,
                format!("is {}", directory.display()),
                "expected a directory that exists",
            );
        }
        directory
    }

    /// `None` when the choice is not one of those there are.
    fn choose_environment(&mut self, variable: Option<&Variable<'_>>) -> Option<Environment> {
        if let Some(variable) = variable {
            let Ok(environment) = Environment::deserialize(Value::from(variable.value)) else {
                let fault = format!("is {:?}", variable.value);
                self.problem(
                    variable.place(),
                    fault,
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
                    self.push(key, value, &origin);
                }
            }
            Err(why) => {
                let why = match why {
                    config::ConfigError::FileParse { cause, .. } => {
                        without_excerpt(&cause.to_string())
                    }
                    other => other.to_string(),
                };
                self.problem(path.display().to_string(), "cannot be read", why);
            }
        }
    }

    /// A secret in a file, as Docker, Kubernetes and systemd hand them out. An empty path is none.
    fn read_secret(&mut self, key: &str, path: &Path, place: String, given_twice: bool) {
        if path.as_os_str().is_empty() {
            return;
        }
        let fault = match (given_twice, std::fs::read_to_string(path)) {
            (false, Ok(text)) => {
                // Editors and `echo` end a file with a newline; no secret of ours does, but a PEM.
                let text = text.trim_end_matches(['\r', '\n']);
                return self.push(key.to_owned(), text.into(), &Origin::File(path.to_owned()));
            }
            (true, _) => (
                format!("is set, and so is {}", variable(key)),
                "keep one of the two".to_owned(),
            ),
            (false, Err(why)) => (
                format!("is {}, which cannot be read", path.display()),
                why.to_string(),
            ),
        };
        self.problems
            .push(ConfigProblem::new(key, place, fault.0, fault.1));
    }

    fn read_dotenv(&mut self, path: &Path) -> Vec<(String, String)> {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(why) if why.not_found() => return Vec::new(),
            Err(why) => {
                self.problem(
                    path.display().to_string(),
                    "cannot be read",
                    why.to_string(),
                );
                return Vec::new();
            }
        };
        let mut read = Vec::new();
        for line in lines {
            match line {
                Ok(variable) => read.push(variable),
                // The error quotes the line, and the line may hold a secret.
                Err(_) => {
                    let fault = match read.last() {
                        Some((name, _)) => format!("cannot be read after {name}"),
                        None => "cannot be read at its first line".into(),
                    };
                    let cure = "expected NAME=value, with single quotes around a value that has spaces, # or $";
                    self.problem(path.display().to_string(), fault, cure);
                    break;
                }
            }
        }
        read
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
fn without_excerpt(error: &str) -> String {
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
