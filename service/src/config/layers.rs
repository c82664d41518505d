//! Where settings come from, and what each place says.
//!
//! A layer is a flat list of [`Given`]s: `http.port` = `8080`, from `config/default.toml`. It is only read here; what
//! is known and allowed is judged in [`super::merge`].

use std::fmt;
use std::path::{Path, PathBuf};

use config::{FileFormat, Source};
use serde::Deserialize;
use serde_json::Value;

use super::error::Problem;
use super::{Environment, Inputs, variable};

/// Where a setting's value came from. Later ones win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    #[default]
    Default,
    /// A file of the configuration directory.
    File(PathBuf),
    /// The `.env` file of the working directory.
    DotEnv,
    /// The process's environment.
    Environment,
    /// `--set` on the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::DotEnv => f.write_str(".env"),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("--set"),
        }
    }
}

impl Origin {
    /// A key as it is spelt in this place.
    pub(super) fn spelling(&self, key: &str) -> String {
        match self {
            Self::File(_) => key.to_owned(),
            Self::Flag => format!("--set {key}"),
            Self::Default | Self::DotEnv | Self::Environment => variable(key),
        }
    }

    /// Where to go to change a key: `http.port in config/default.toml`.
    pub(super) fn place(&self, key: &str) -> String {
        let spelling = self.spelling(key);
        match self {
            Self::File(path) => format!("{spelling} in {}", path.display()),
            Self::DotEnv | Self::Environment => format!("{spelling} ({self})"),
            Self::Default | Self::Flag => spelling,
        }
    }
}

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
    /// What could not be read at all.
    pub(super) problems: Vec<Problem>,
}

/// Reads every layer.
pub(super) fn read(inputs: &Inputs) -> Layers {
    let mut layers = Layers::default();
    let dotenv = layers.read_dotenv(&inputs.dotenv);
    // The environment wins over `.env`, so it comes last and is searched first.
    let outside: Vec<(&str, &str, Origin)> = (dotenv
        .iter()
        .map(|(name, value)| (name, value, Origin::DotEnv)))
    .chain(
        inputs
            .variables
            .iter()
            .map(|(name, value)| (name, value, Origin::Environment)),
    )
    .map(|(name, value, origin)| (name.as_str(), value.as_str(), origin))
    .collect();
    let find = |wanted: &str| {
        outside
            .iter()
            .rfind(|(name, value, _)| *name == wanted && !value.is_empty())
    };

    let directory = layers.config_directory(inputs, find("ORDERLY_CONFIG_DIR"));
    layers.read_file(&directory.join("default.toml"));
    if let Some(environment) = layers.choose_environment(find("ORDERLY_ENV")) {
        layers.read_file(&directory.join(format!("{environment}.toml")));
    }
    layers.read_file(&directory.join("local.toml"));
    for (name, value, origin) in &outside {
        // Two underscores: Kubernetes itself sets ORDERLY_PORT and the like for a service of that name.
        if let Some(path) = name.strip_prefix("ORDERLY__") {
            layers.push(
                path.to_lowercase().replace("__", "."),
                (*value).into(),
                origin,
            );
        }
    }
    for (key, value) in &inputs.flags.set {
        layers.push(key.clone(), value.as_str().into(), &Origin::Flag);
    }
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
        self.problems.push(Problem {
            key: String::new(),
            place: place.into(),
            fault: fault.into(),
            cure: cure.into(),
        });
    }

    fn config_directory(
        &mut self,
        inputs: &Inputs,
        variable: Option<&(&str, &str, Origin)>,
    ) -> PathBuf {
        let (directory, place) = match (&inputs.flags.config_dir, variable) {
            (Some(directory), _) => (directory.clone(), "--config-dir".to_owned()),
            (None, Some((name, value, origin))) => {
                (PathBuf::from(value), format!("{name} ({origin})"))
            }
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

    fn choose_environment(&mut self, variable: Option<&(&str, &str, Origin)>) -> Option<String> {
        if let Some((name, value, origin)) = variable {
            match Environment::deserialize(Value::from(*value)) {
                Ok(environment) => self.environment = (environment, origin.clone()),
                Err(_) => {
                    let cure = "expected development, test or production";
                    self.problem(format!("{name} ({origin})"), format!("is {value:?}"), cure);
                    return None;
                }
            }
        }
        Some(self.environment.0.to_string())
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
