//! File of the ledger: one JSON object a line, append-only.
//!
//! The gateway must remember a charge after a restart, and it may be killed at any byte. An entry is
//! therefore written in one piece, and *before* the response is sent: every entry that a client has
//! seen is in the file. A kill can leave an incomplete last line, an entry that no client has seen;
//! the next start truncates it. The file is not synced to disk: it survives the process but not a
//! power failure, which is enough for a sandbox.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::ledger::LedgerEntry;

/// Storage of the entries.
#[derive(Debug)]
pub(crate) enum Journal {
    /// None: the ledger ends with the process.
    Memory,
    /// A file, opened for appending.
    File(File),
    /// The gateway has stopped, or a write failed; no entry is accepted any more.
    Closed,
}

impl Journal {
    /// Opens the file at `path`, created if absent, and returns the entries in it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, or a complete line is not an entry.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<LedgerEntry>)> {
        let with_path = |error| add_path_context(path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(with_path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(with_path)?;

        let complete_len = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if complete_len < bytes.len() {
            tracing::warn!(
                path = %path.display(),
                truncated_bytes = bytes.len() - complete_len,
                "incomplete last line truncated",
            );
            file.set_len(complete_len as u64).map_err(with_path)?;
        }
        let entries = bytes[..complete_len]
            .split_inclusive(|&b| b == b'\n')
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_slice(line)
                    .map_err(|error| invalid_line_error(path, index + 1, &error))
            })
            .collect::<io::Result<_>>()?;
        Ok((Self::File(file), entries))
    }

    /// Appends one entry. A failure closes the journal, since the end of the file is unknown then.
    ///
    /// # Errors
    /// Returns an error if the journal is closed or the write fails.
    pub(crate) fn append(&mut self, entry: &LedgerEntry) -> io::Result<()> {
        let written = match self {
            Self::Memory => Ok(()),
            Self::Closed => Err(io::Error::other("the ledger is closed")),
            Self::File(file) => append_line(file, entry),
        };
        if let Err(error) = &written {
            tracing::warn!(%error, "ledger write failed, no more entries are accepted");
            *self = Self::Closed;
        }
        written
    }
}

fn append_line(file: &mut File, entry: &LedgerEntry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn add_path_context(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("ledger {}: {error}", path.display()))
}

fn invalid_line_error(path: &Path, line: usize, error: &serde_json::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "ledger {}: line {line} is not a ledger entry ({error}); \
             move the file away to start with an empty ledger",
            path.display()
        ),
    )
}
