//! The Postgres and the Redis of a drill: see `scripts/drill-services.sh`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// A service to take away.
#[derive(Clone, Copy)]
pub enum Service {
    Postgres,
    Redis,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// Both of them; removed with the value.
pub struct Services {
    script: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub database_url: String,
    pub redis_url: String,
}

impl Services {
    /// Starts them, which takes a second or two.
    pub fn start(folder: &Path) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/drill-services.sh");
        let log = File::create(folder.join("services.log")).unwrap();
        let mut script = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut services = Self {
            commands: script.stdin.take(),
            answers: BufReader::new(script.stdout.take().unwrap()),
            script,
            database_url: String::new(),
            redis_url: String::new(),
        };
        services.database_url = services.answer();
        services.redis_url = services.answer();
        services
    }

    /// Kills all its processes with -9.
    pub fn kill(&mut self, service: Service) {
        self.tell("kill", service);
    }

    /// Stops it with SIGSTOP: connections stay open, nothing is answered.
    pub fn freeze(&mut self, service: Service) {
        self.tell("freeze", service);
    }

    /// Lets it go on, and says since when.
    pub fn thaw(&mut self, service: Service) -> Instant {
        self.tell("thaw", service);
        Instant::now()
    }

    /// Starts it again where it was, and says since when it answers.
    pub fn start_again(&mut self, service: Service) -> Instant {
        self.tell("start", service);
        Instant::now()
    }

    fn tell(&mut self, verb: &str, service: Service) {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{verb} {}", service.name()).unwrap();
        assert_eq!(self.answer(), "done", "{verb} {}", service.name());
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _it_removes_everything = self.script.wait();
    }
}
