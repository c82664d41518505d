//! Where a setting came from: what `orderly config` shows, and what a message about a mistake points to.

use std::fmt;
use std::path::PathBuf;

use super::variable_name;

/// Where a setting's value came from. Later ones win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    #[default]
    Default,
    /// A file: of the configuration directory, or the one that a `…_FILE` variable names.
    File(PathBuf),
    /// The `.env` file of the working directory.
    DotEnv,
    /// The process's environment.
    Environment,
    /// A standard variable of OpenTelemetry, in the environment or in `.env`.
    OtelVariable(&'static str),
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
            Self::OtelVariable(name) => f.write_str(name),
            Self::Flag => f.write_str("--set"),
        }
    }
}

impl Origin {
    /// A key as it is spelt in this place.
    pub(super) fn format_key(&self, key: &str) -> String {
        match self {
            Self::File(_) => key.to_owned(),
            Self::Flag => format!("--set {key}"),
            Self::OtelVariable(name) => (*name).to_owned(),
            Self::Default | Self::DotEnv | Self::Environment => variable_name(key),
        }
    }

    /// Where to go to change a key: `http.port in config/default.toml`.
    pub(super) fn location(&self, key: &str) -> String {
        let formatted_key = self.format_key(key);
        match self {
            Self::File(path) => format!("{formatted_key} in {}", path.display()),
            Self::DotEnv | Self::Environment => format!("{formatted_key} ({self})"),
            Self::Default | Self::Flag | Self::OtelVariable(_) => formatted_key,
        }
    }
}
