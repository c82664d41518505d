//! Command-line flags of the configuration.

use std::path::PathBuf;

/// The part of the command line that is about configuration.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigFlags {
    /// Override one setting, e.g. --set http.port=9000. May be repeated.
    ///
    /// Wins over the environment and the files; for one key the last flag wins. Not for secrets: other users of the machine see a command line.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,

    /// Where default.toml, {environment}.toml and local.toml are [default: $ORDERLY_CONFIG_DIR, or ./config]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.into(), value.into())),
        None => Err("expected section.key=value".into()),
    }
}
