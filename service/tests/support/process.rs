//! The real binary as a process of its own, with its settings in the environment alone.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use xtask::process::{Signal, send_signal};

use super::database::TestDatabase;
use super::eventually::eventually;

/// How the binary is to be started. Each `set` wins over what was there.
#[derive(Clone)]
pub struct OrderlyCommand {
    variables: BTreeMap<String, String>,
}

/// What a command came to that ended by itself.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl OrderlyCommand {
    /// Any free ports, JSON log lines, no database, no load balancer to wait for, and
    /// patience: a busy machine is no lost dependency.
    pub fn new() -> Self {
        let command = Self {
            variables: BTreeMap::new(),
        };
        command
            .set("ORDERLY_ENV", "test")
            .set("ORDERLY__HTTP__PORT", "0")
            .set("ORDERLY__ADMIN__PORT", "0")
            .set("ORDERLY__LOG__FORMAT", "json")
            .set("ORDERLY__PAYMENT_JOBS__POLL_INTERVAL", "100ms")
            .set("ORDERLY__SHUTDOWN__DRAIN_DELAY", "0s")
            .set("ORDERLY__HEALTH__TIMEOUT", "20s")
            .set("ORDERLY__DATABASE__ACQUIRE_TIMEOUT", "1m")
            .set("ORDERLY__DATABASE__CONNECT_TIMEOUT", "1m")
            .set("ORDERLY__CACHE__LOAD_TIMEOUT", "1m")
            .set("ORDERLY__REDIS__CONNECT_TIMEOUT", "20s")
            .set("ORDERLY__REDIS__RESPONSE_TIMEOUT", "20s")
    }

    /// The same with a database.
    pub fn with_database(database: &TestDatabase) -> Self {
        Self::new().set("ORDERLY__DATABASE__URL", &database.url)
    }

    #[must_use]
    pub fn set(mut self, variable: &str, value: &str) -> Self {
        self.variables.insert(variable.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn unset(mut self, variable: &str) -> Self {
        self.variables.remove(variable);
        self
    }

    /// Runs a command to its end; one that does not come to it in time is killed.
    pub async fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.start(arguments).wait().await
    }

    /// Runs a command that must succeed, and returns what it printed, without the last newline.
    pub async fn succeed(&self, arguments: &[&str]) -> String {
        let CommandOutput {
            code,
            stdout,
            stderr,
        } = self.run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    /// Runs a command that must fail with that code and print nothing but a message, and
    /// returns the message.
    pub async fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        ended.stderr
    }

    /// Starts a command that runs until it is stopped.
    pub fn start(&self, arguments: &[&str]) -> ChildProcess {
        ChildProcess::start(&mut self.command(arguments))
    }

    /// Starts a command whose standard output nobody reads any more after a line with that text: the pipe fills up.
    pub fn start_unread_after(&self, text: &'static str, arguments: &[&str]) -> ChildProcess {
        ChildProcess::start_unread_after(Some(text), &mut self.command(arguments))
    }

    /// In a folder without configuration, and with nothing of the tests' own environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderly"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .current_dir(empty_dir());
        command
    }
}

/// A folder of the tests' own, to write to.
pub fn scratch_dir() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn empty_dir() -> PathBuf {
    let folder = scratch_dir().join("empty");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A process that runs; it is killed with the value.
pub struct ChildProcess {
    child: Child,
    stdout: OutputLines,
    stderr: OutputLines,
}

impl ChildProcess {
    pub fn start(command: &mut Command) -> Self {
        Self::start_unread_after(None, command)
    }

    fn start_unread_after(text: Option<&'static str>, command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            stdout: OutputLines::collect(child.stdout.take().unwrap(), text),
            stderr: OutputLines::collect(child.stderr.take().unwrap(), None),
            child,
        }
    }

    /// The lines of standard output up to now.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.snapshot()
    }

    /// The log up to now, each line of which must be JSON.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.lines();
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        lines.iter().map(parse).collect()
    }

    /// Waits for the log line with that message; a complaint, as of a wrong setting, ends the wait.
    pub async fn wait_for_log(&self, message: &str) -> Value {
        let find = async || {
            let errors = self.stderr.snapshot();
            assert!(errors.is_empty(), "{}", errors.join("\n"));
            let mut log = self.log().into_iter();
            log.find(|line| line["message"] == message)
        };
        let what = format!("the log says {message:?}");
        eventually(&what, find).await
    }

    /// Waits until it has written that text to standard error.
    pub async fn wait_for_message(&self, text: &str) {
        let find = async || {
            self.stderr
                .snapshot()
                .join("\n")
                .contains(text)
                .then_some(())
        };
        eventually(&format!("the message {text:?}"), find).await;
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal).unwrap();
    }

    /// Waits until it has ended by itself, and returns its exit code. The log is complete then.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let status = eventually("the process ends", async || self.child.try_wait().unwrap()).await;
        self.stdout.wait_for_end();
        status.code()
    }

    /// Waits until it has ended by itself, and returns its exit code and all it wrote to standard
    /// output and standard error.
    pub async fn wait(mut self) -> CommandOutput {
        CommandOutput {
            code: self.exit_code().await,
            stdout: self.stdout.wait_for_end(),
            stderr: self.stderr.wait_for_end(),
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What a process writes, line by line as it comes.
struct OutputLines {
    lines: Arc<Mutex<Vec<String>>>,
    /// Gives the stream back, which must not be closed before the process has ended.
    reader: Option<thread::JoinHandle<Box<dyn Send>>>,
}

impl OutputLines {
    /// To the end, or to the line with that text.
    fn collect(stream: impl Read + Send + 'static, last_text: Option<&'static str>) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let collected = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            for line in stream.by_ref().lines().map(Result::unwrap) {
                let is_last = last_text.is_some_and(|text| line.contains(text));
                collected.lock().unwrap().push(line);
                if is_last {
                    break;
                }
            }
            Box::new(stream) as Box<dyn Send>
        });
        Self {
            lines,
            reader: Some(reader),
        }
    }

    fn snapshot(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// To the end of the stream.
    fn wait_for_end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            drop(reader.join().unwrap());
        }
        self.snapshot().join("\n")
    }
}
