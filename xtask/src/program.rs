//! Runs programs to their end.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::interrupt::{check_interrupt, exit_code_of_signal};
use crate::process::{POLL_INTERVAL, Signal, send_signal, wait_for};

/// Time that a program has to end after a signal has interrupted the wait for it, before it is
/// killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a program to its end and returns its output. A signal ends the program too.
///
/// # Errors
/// Returns an error if the program can't be started or a signal ends the wait.
pub fn run_to_end(command: &mut Command) -> anyhow::Result<Output> {
    let mut child = (command.stdin(Stdio::null()).spawn())
        .with_context(|| format!("{} can't be started", command.get_program().display()))?;
    // The pipes are read to their ends, which the program closes when it ends.
    let readers = [
        child
            .stdout
            .take()
            .map(|pipe| thread::spawn(move || read_to_end(pipe))),
        child
            .stderr
            .take()
            .map(|pipe| thread::spawn(move || read_to_end(pipe))),
    ];
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Err(interrupted) = check_interrupt() {
            let _ = send_signal(&child, Signal::TERM);
            if !wait_for(STOP_TIMEOUT, || !matches!(child.try_wait(), Ok(None))) {
                let _ = child.kill();
                let _ = child.wait();
            }
            return Err(interrupted.into());
        }
        thread::sleep(POLL_INTERVAL);
    };
    let [stdout, stderr] = readers.map(|reader| match reader {
        Some(reader) => reader.join().map_err(|_| anyhow!("the reader panicked"))?,
        None => Ok(Vec::new()),
    });
    let unread = || {
        format!(
            "the output of {} can't be read",
            command.get_program().display()
        )
    };
    Ok(Output {
        status,
        stdout: stdout.with_context(unread)?,
        stderr: stderr.with_context(unread)?,
    })
}

/// Half of an output must not count as the whole.
fn read_to_end(mut pipe: impl std::io::Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs a program that must succeed and returns its standard output, without the last newline.
///
/// # Errors
/// Returns an error with the last lines of its standard error if the program fails.
pub fn run_for_output(command: &mut Command) -> anyhow::Result<String> {
    let output = run_to_end(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    if !output.status.success() {
        let program = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .display();
        bail!(
            "{program} failed: {}",
            last_lines(&String::from_utf8_lossy(&output.stderr), 3)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// Returns the exit code with which a command passes on the end of another.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or_else(|| exit_code_of_signal(status.signal().unwrap_or_default())))
}

/// Returns the last lines of a text.
pub(crate) fn last_lines(text: &str, number: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(number)..].join("\n")
}

/// Returns the last lines of a log file; none if it can't be read.
pub(crate) fn last_log_lines(file: &Path, number: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&text), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_of_short_text_are_all_of_it() {
        assert_eq!(last_lines("a\nb\n", 3), "a\nb");
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
    }
}
