//! The ledger's file: one JSON object a line, only ever appended to.
//!
//! The gateway must remember a charge for longer than it lives, and it may be
//! killed at any byte. So an entry is written in one piece, and *before* the answer
//! is sent: an entry that a client has heard of is in the file. What a kill can
//! leave behind is half a last line, an entry that nobody has heard of; it is cut
//! off at the next start. The file is not synced to disk: it outlives the process,
//! not the machine's power, which is enough for a sandbox.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use super::ledger::LedgerEntry;

/// Where entries go to last.
#[derive(Debug)]
pub(super) enum Journal {
    /// Nowhere: the ledger dies with the process.
    Memory,
    /// To a file, opened for appending.
    File(File),
    /// The gateway has stopped, or a write failed: nothing may be promised any more.
    Closed,
}

impl Journal {
    /// Opens the file at `path`, made if absent, and returns the entries in it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<LedgerEntry>)> {
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
                "cut off a half-written last line",
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

    /// Appends one entry. After a failure the journal is closed, since what the file
    /// now ends with is unknown.
    pub(super) fn append(&mut self, entry: &LedgerEntry) -> io::Result<()> {
        let written = match self {
            Self::Memory => Ok(()),
            Self::Closed => Err(io::Error::other("the ledger is closed")),
            Self::File(file) => append_line(file, entry),
        };
        if let Err(error) = &written {
            tracing::warn!(%error, "the ledger takes no more entries");
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
