//! The Postgres and the Redis of a drill: see `scripts/drill-services.sh`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// A service to take away.
#[derive(Clone, Copy)]
pub enum Dependency {
    Postgres,
    Redis,
}

impl Dependency {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// Both of them; removed with the value.
pub struct Dependencies {
    script: Child,
    commands: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    pub database_url: String,
    pub redis_url: String,
}

impl Dependencies {
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
            replies: BufReader::new(script.stdout.take().unwrap()),
            script,
            database_url: String::new(),
            redis_url: String::new(),
        };
        services.database_url = services.read_reply();
        services.redis_url = services.read_reply();
        services
    }

    /// Kills all its processes with -9.
    pub fn kill(&mut self, service: Dependency) {
        self.send_command("kill", service);
    }

    /// Stops it with SIGSTOP: connections stay open, nothing is answered.
    pub fn freeze(&mut self, service: Dependency) {
        self.send_command("freeze", service);
    }

    /// Lets it go on, and says since when.
    pub fn thaw(&mut self, service: Dependency) -> Instant {
        self.send_command("thaw", service);
        Instant::now()
    }

    /// Starts it again where it was, and says since when it answers.
    pub fn restart(&mut self, service: Dependency) -> Instant {
        self.send_command("start", service);
        Instant::now()
    }

    fn send_command(&mut self, verb: &str, service: Dependency) {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{verb} {}", service.name()).unwrap();
        assert_eq!(self.read_reply(), "done", "{verb} {}", service.name());
    }

    fn read_reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Dependencies {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _it_removes_everything = self.script.wait();
    }
}
