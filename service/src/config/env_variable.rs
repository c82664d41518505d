//! Variables of the environment and of `.env`: which of them are settings.

use super::Origin;
use super::keys::{is_secret, keys, variable_name};

pub(super) const ENVIRONMENT: &str = "ORDERLY_ENV";
pub(super) const CONFIG_DIR: &str = "ORDERLY_CONFIG_DIR";

/// A variable of `.env` or of the environment.
pub(super) struct EnvVariable {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

impl EnvVariable {
    pub(super) fn location(&self) -> String {
        format!("{} ({})", self.name, self.origin)
    }
}

/// The meaning of a variable's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A setting, known or unknown.
    Key(String),
    /// The path of a file with this secret.
    SecretFile(String),
    /// Another spelling of this key. With two spellings, one of two values would be ignored.
    Misspelt(String),
    /// Not a setting.
    Foreign,
}

/// Parses a name: `ORDERLY__HTTP__PORT` is `http.port`.
pub(super) fn parse_name(variable: &EnvVariable) -> Name {
    let name = &*variable.name;
    let upper = name.to_ascii_uppercase();
    if let Some(path) = upper.strip_prefix("ORDERLY__") {
        let key = path.to_ascii_lowercase().replace("__", ".");
        return match key.strip_suffix("_file").filter(|key| is_secret(key)) {
            _ if variable_name(&key) != name => Name::Misspelt(key),
            Some(secret) => Name::SecretFile(secret.to_owned()),
            None => Name::Key(key),
        };
    }
    if name == ENVIRONMENT || name == CONFIG_DIR {
        return Name::Foreign;
    }
    if upper == ENVIRONMENT || upper == CONFIG_DIR {
        return Name::Misspelt(upper);
    }
    // Kubernetes sets ORDERLY_HTTP_PORT=tcp://10.0.0.1:80 for a service named orderly-http.
    let is_service_link = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| variable.value.starts_with(scheme));
    let single_underscore = (upper.strip_prefix("ORDERLY_")).filter(|_| !is_service_link);
    let key = single_underscore.and_then(|path| {
        let path = path.replace("__", "_");
        let is_same = |key: &String| key.to_ascii_uppercase().replace('.', "_") == path;
        keys().into_iter().find(is_same)
    });
    key.map_or(Name::Foreign, Name::Misspelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Name {
        parse_name(&EnvVariable {
            name: name.into(),
            value: value.into(),
            origin: Origin::Environment,
        })
    }

    #[test]
    fn each_key_has_one_spelling() {
        let (key, file) = ("http.port", "redis.url");
        assert_eq!(parse("ORDERLY__HTTP__PORT", "1"), Name::Key(key.into()));
        assert_eq!(
            parse("ORDERLY__REDIS__URL_FILE", "f"),
            Name::SecretFile(file.into())
        );
        for other in [
            "ORDERLY__http__PORT",
            "orderly__http__port",
            "ORDERLY_HTTP_PORT",
            "ORDERLY__HTTP.PORT",
        ] {
            assert_eq!(parse(other, "1"), Name::Misspelt(key.into()), "{other}");
        }
        assert_eq!(
            parse("orderly_env", "test"),
            Name::Misspelt("ORDERLY_ENV".into())
        );
        for foreign in ["ORDERLY_PORT", "ORDERLY_IMAGE", "ORDERLY_ENV", "PATH"] {
            assert_eq!(parse(foreign, "1"), Name::Foreign, "{foreign}");
        }
        assert_eq!(
            parse("ORDERLY_HTTP_PORT", "tcp://10.0.0.1:80"),
            Name::Foreign
        );
    }
}
