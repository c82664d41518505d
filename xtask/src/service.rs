//! The service, with its settings in environment variables.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::data_dir::DataDir;
use crate::port::find_free_port;
use crate::process::{ManagedProcess, Role, wait_until_ready};
use crate::program::{last_log_lines, run_to_end};

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The program of the service and its settings; others come from the caller's environment.
#[derive(Debug, Clone)]
pub struct Service {
    program: PathBuf,
    settings: Vec<(&'static str, Option<String>)>,
    /// The port of the API.
    pub api_port: u16,
    /// The port of the operators' listener.
    pub admin_port: u16,
}

impl Service {
    /// With these ports.
    pub fn new(program: PathBuf, api_port: u16, admin_port: u16) -> Self {
        let service = Self {
            program,
            settings: Vec::new(),
            api_port,
            admin_port,
        };
        service
            .set("ORDERLY__HTTP__PORT", &api_port.to_string())
            .set("ORDERLY__ADMIN__PORT", &admin_port.to_string())
    }

    /// With free ports.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub fn on_free_ports(program: PathBuf) -> anyhow::Result<Self> {
        Ok(Self::new(program, find_free_port()?, find_free_port()?))
    }

    /// Sets a variable.
    #[must_use]
    pub fn set(mut self, variable: &'static str, value: &str) -> Self {
        self.settings.push((variable, Some(value.to_owned())));
        self
    }

    /// Sets a variable that the caller's environment does not have.
    #[must_use]
    pub fn set_default(self, variable: &'static str, value: &str) -> Self {
        let is_set = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        if is_set {
            self
        } else {
            self.set(variable, value)
        }
    }

    /// Removes a variable.
    #[must_use]
    pub fn unset(mut self, variable: &'static str) -> Self {
        self.settings.push((variable, None));
        self
    }

    /// The URL of the API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Gives the settings to a command.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (variable, value) in &self.settings {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        command
    }

    /// Returns one of its commands.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.configure(command.args(arguments));
        command
    }

    /// Brings the schema up to date and adds the demo data.
    ///
    /// # Errors
    /// Returns an error if one of these fails.
    pub fn prepare_database(&self) -> anyhow::Result<()> {
        for step in ["migrate", "seed"] {
            let output = run_to_end(self.command(&[step]).stdout(io::stderr()))?;
            if !output.status.success() {
                bail!("orderly {step} failed");
            }
        }
        Ok(())
    }

    /// Starts it and waits until it is ready. It logs into a file, or where the caller prints.
    ///
    /// # Errors
    /// Returns an error if it does not become ready.
    pub fn start(&self, data: &DataDir, log: Option<&Path>) -> anyhow::Result<ManagedProcess> {
        let mut command = self.command(&["serve"]);
        if let Some(log) = log {
            let output =
                File::create(log).with_context(|| format!("{} can't be written", log.display()))?;
            command.stdout(output.try_clone()?).stderr(output);
        }
        let mut process = ManagedProcess::spawn(Role::Service, &mut command, data.path())?;
        if wait_until_ready(START_TIMEOUT, &mut process, || self.is_healthy())? {
            return Ok(process);
        }
        match log {
            None => bail!("the service did not become ready: see its log above"),
            Some(log) => {
                let end = last_log_lines(log, 5);
                bail!(
                    "the service did not become ready; {} ends with: {end}",
                    log.display()
                )
            }
        }
    }

    fn is_healthy(&self) -> bool {
        let mut check = self.command(&["healthcheck"]);
        let status = check
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }
}
