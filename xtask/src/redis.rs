//! A private Redis: 127.0.0.1 only, with a port of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::data_dir::DataDir;
use crate::port::start_on_port;
use crate::process::{ManagedProcess, Role, wait_until_ready};
use crate::program::last_log_lines;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// A server with its files in a data folder; stopped when it is dropped.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    account: Account,
    data: PathBuf,
    arguments: Vec<String>,
    port: u16,
    server: ManagedProcess,
}

impl Redis {
    /// Starts it, on that port if it is free.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn start(
        data: &DataDir,
        program: PathBuf,
        port: Option<u16>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let folder = data.path().join("redis");
        fs::create_dir_all(&folder)?;
        data.account.give_ownership(&folder)?;
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let (port, server) = start_server(data.path(), &data.account, &program, port, &arguments)?;
        Ok(Self {
            account: data.account.clone(),
            data: data.path().to_owned(),
            program,
            arguments,
            port,
            server,
        })
    }

    /// Starts it again after it was killed, on the same port if that is free.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let (data, account) = (&self.data, &self.account);
        let started = start_server(data, account, &self.program, None, &self.arguments)?;
        (self.port, self.server) = started;
        Ok(())
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut ManagedProcess {
        &mut self.server
    }
}

fn start_server(
    data: &Path,
    account: &Account,
    program: &Path,
    port: Option<u16>,
    arguments: &[String],
) -> anyhow::Result<(u16, ManagedProcess)> {
    let log = data.join("redis.log");
    let start = |port: u16| {
        let output = File::create(&log)?;
        let mut command = account.command(program);
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]);
        command.arg("--dir").arg(data.join("redis")).args(arguments);
        command.stdout(output.try_clone()?).stderr(output);
        let mut server = ManagedProcess::spawn(Role::Redis, &mut command, data)?;
        let pid = server.pid();
        let is_ready = wait_until_ready(START_TIMEOUT, &mut server, || is_ready(port, pid))?;
        Ok(is_ready.then_some(server))
    };
    let failure = || format!("{} ends with: {}", log.display(), last_log_lines(&log, 3));
    start_on_port("Redis", &data.join("redis.port"), port, start, failure)
}

/// Whether that process answers there, and not another that was there first.
fn is_ready(port: u16, pid: u32) -> bool {
    let info = read_info(port).unwrap_or_default();
    let expected = format!("process_id:{pid}");
    info.lines().any(|line| line.trim_end() == expected)
}

fn read_info(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut connection = TcpStream::connect_timeout(&address, REPLY_TIMEOUT)?;
    connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
    connection.write_all(b"INFO server\r\nQUIT\r\n")?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply)?;
    Ok(reply)
}
