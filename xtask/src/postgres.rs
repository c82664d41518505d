//! A private Postgres: 127.0.0.1 only, with a port and a random password of its own, and without
//! a socket file (a path longer than 107 bytes is rejected, and a checkout's may be).

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::account::Account;
use crate::data_dir::DataDir;
use crate::port::start_on_port;
use crate::process::{ManagedProcess, Role, wait_until_ready};
use crate::program::{last_lines, last_log_lines, run_for_output};
use crate::progress::log_progress;
use crate::random::random_hex;
use crate::removal::{UNFINISHED_CLUSTER, remove_unfinished_cluster};
use crate::servers::PostgresPrograms;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The role that may do anything in it.
const USER: &str = "orderly";

/// The options of a Postgres.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostgresOptions<'a> {
    /// The port to take first; a free one by default.
    pub port: Option<u16>,
    /// Arguments of `initdb`.
    pub initdb: &'a [&'a str],
    /// Settings of the server, each as `name=value`.
    pub settings: &'a [&'a str],
    /// The folder of `scripts/certs.sh`, for a server that speaks TLS.
    pub certificates: Option<&'a Path>,
}

/// A cluster in a data folder, and its server; stopped when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: PostgresPrograms,
    account: Account,
    data: PathBuf,
    arguments: Vec<String>,
    password: String,
    port: u16,
    server: ManagedProcess,
}

impl Postgres {
    /// Creates the cluster, unless it is there, and starts its server.
    ///
    /// # Errors
    /// Returns an error if the data is of another major version or the server does not start.
    pub fn start(
        data: &DataDir,
        programs: PostgresPrograms,
        options: PostgresOptions<'_>,
    ) -> anyhow::Result<Self> {
        create_cluster(data, &programs, options.initdb)?;
        let mut settings = options.settings.to_vec();
        if let Some(certificates) = options.certificates {
            install_certificate(data, certificates)?;
            settings.push("ssl=on");
        }
        let arguments: Vec<_> = (settings.iter())
            .flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()])
            .collect();
        let (port, server) = start_server(
            data.path(),
            &data.account,
            &programs,
            options.port,
            &arguments,
        )?;
        Ok(Self {
            account: data.account.clone(),
            data: data.path().to_owned(),
            password: fs::read_to_string(password_file(data.path()))?,
            programs,
            arguments,
            port,
            server,
        })
    }

    /// Starts the server again after it was killed, on the same port if that is free.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let (data, account) = (&self.data, &self.account);
        let started = start_server(data, account, &self.programs, None, &self.arguments)?;
        (self.port, self.server) = started;
        Ok(())
    }

    /// The URL of a database in it.
    pub fn url(&self, database: &str) -> String {
        self.url_with_password(database, &self.password)
    }

    /// The same, with something else in place of the password.
    pub fn url_with_password(&self, database: &str, password: &str) -> String {
        let port = self.port;
        format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// The environment variables with which the programs of Postgres find a database in it. The
    /// password is among them because every user of the machine may read a command line.
    pub fn client_variables(&self, database: &str) -> [(&'static str, String); 5] {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", USER.to_owned()),
            ("PGPASSWORD", self.password.clone()),
            ("PGDATABASE", database.to_owned()),
        ]
    }

    /// The folder of its programs.
    pub fn programs(&self) -> &Path {
        &self.programs.bin
    }

    /// The process that the others are children of.
    pub fn process(&mut self) -> &mut ManagedProcess {
        &mut self.server
    }

    /// Runs SQL in a database and returns the rows, unaligned.
    ///
    /// # Errors
    /// Returns an error if a statement fails.
    pub fn query(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.programs.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        run_for_output(psql.envs(self.client_variables(database)))
    }

    /// Runs SQL that counts, and returns the number. No output is no number.
    ///
    /// # Errors
    /// Returns an error if a statement fails or returns something else.
    pub fn count(&self, database: &str, sql: &str) -> anyhow::Result<u64> {
        let text = self.query(database, sql)?;
        text.parse()
            .with_context(|| format!("'{text}' is no number, from: {sql}"))
    }

    /// Creates a database, unless it is there.
    ///
    /// # Errors
    /// Returns an error if the server rejects it.
    pub fn create_database(&self, name: &str) -> anyhow::Result<()> {
        let found = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        if self.query("postgres", &found)?.is_empty() {
            self.query("postgres", &format!("CREATE DATABASE {name}"))?;
        }
        Ok(())
    }
}

/// Returns the file with the password of the role.
pub fn password_file(data: &Path) -> PathBuf {
    data.join("postgres.password")
}

/// Installs a certificate of `scripts/certs.sh`, for a server with `-c ssl=on`.
fn install_certificate(data: &DataDir, certificates: &Path) -> anyhow::Result<()> {
    for end in ["crt", "key"] {
        let installed = data.path().join(format!("postgres/server.{end}"));
        fs::copy(certificates.join(format!("postgres.{end}")), &installed)?;
        data.account.give_ownership(&installed)?;
    }
    Ok(())
}

fn create_cluster(
    data: &DataDir,
    programs: &PostgresPrograms,
    options: &[&str],
) -> anyhow::Result<()> {
    let cluster = data.path().join("postgres");
    let major = programs.major;
    if let Ok(found) = fs::read_to_string(cluster.join("PG_VERSION")) {
        let found = found.trim();
        if found != major.to_string() {
            bail!(
                "the data is of Postgres {found} and only {major} is installed: install {found}, \
                 or drop the data with 'make clean-data'"
            );
        }
        return Ok(());
    }
    log_progress(&format!(
        "Creating a private Postgres {major} in {}",
        cluster.display()
    ));
    let password = password_file(data.path());
    let secret = random_hex()?;
    let _ = fs::remove_file(&password);
    (File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&password))
    .and_then(|mut file| file.write_all(secret.as_bytes()))
    .with_context(|| format!("{} can't be written", password.display()))?;
    data.account.give_ownership(&password)?;
    let unfinished = data.path().join(UNFINISHED_CLUSTER);
    remove_unfinished_cluster(data)?;
    fs::create_dir(&unfinished)?;
    data.account.give_ownership(&unfinished)?;
    let mut initdb = data.account.command(&programs.bin.join("initdb"));
    initdb.arg("-D").arg(&unfinished);
    initdb.arg("--pwfile").arg(&password);
    initdb
        .args(["--username", USER, "--encoding=UTF8", "--no-locale"])
        .args(options);
    run_for_output(&mut initdb)?;
    // Only a whole cluster gets the name, should the command be stopped on the way.
    fs::rename(&unfinished, &cluster)?;
    Ok(())
}

fn start_server(
    data: &Path,
    account: &Account,
    programs: &PostgresPrograms,
    port: Option<u16>,
    arguments: &[String],
) -> anyhow::Result<(u16, ManagedProcess)> {
    let cluster = data.join("postgres");
    // Outside the cluster: its owner cannot replace the file by a link.
    let log = data.join("postgres.log");
    let start = |port: u16| {
        let output = File::options().create(true).append(true).open(&log)?;
        let log_start = output.metadata()?.len();
        let mut command = account.command(&programs.bin.join("postgres"));
        command.arg("-D").arg(&cluster);
        command
            .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()])
            .args(arguments);
        command.stdout(output.try_clone()?).stderr(output);
        let mut server = ManagedProcess::spawn(Role::Postgres, &mut command, data)?;
        let pid = server.pid();
        if wait_until_ready(START_TIMEOUT, &mut server, || is_ready(&cluster, pid))? {
            return Ok(Some(server));
        }
        let text = fs::read(&log)?;
        let added = text.get(usize::try_from(log_start)?..).unwrap_or_default();
        let added = String::from_utf8_lossy(added);
        if added.contains("could not bind") {
            return Ok(None);
        }
        bail!(
            "Postgres did not start; {} ends with: {}",
            log.display(),
            last_lines(&added, 3)
        )
    };
    let failure = || format!("{} ends with: {}", log.display(), last_log_lines(&log, 3));
    start_on_port(
        "Postgres",
        &data.join("postgres.port"),
        port,
        start,
        failure,
    )
}

/// Whether that process accepts connections: it says so in the last line of its lock file.
fn is_ready(cluster: &Path, pid: u32) -> bool {
    let lock = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    let mut lines = lock.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}
