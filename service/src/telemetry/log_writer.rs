//! Log lines leave by a thread of their own.
//!
//! # Problem
//! Standard output is a pipe that another program empties: a container runtime, journald. While
//! that program stalls, the pipe is full after 64 KiB, and the thread that writes the next line
//! blocks: one worker in the middle of its requests, soon all of them, and the liveness probe with
//! them. No line is worth that.
//!
//! # How it works
//! tracing-appender queues the lines, and its thread writes them. A line that finds the queue full
//! is dropped and counted in `orderly_log_lines_dropped_total`. The thread flushes whenever the
//! queue is empty; [`LineBatch`] waits a moment before that, since under load waking up the thread
//! and writing cost more than making a line.
//!
//! # Pitfalls
//! - Lines that are queued when the process ends must come out first: they say why it ended
//!   ([`LogWriter::flush_within`]).
//! - A `BufWriter` keeps the lines that it could not write, and then rejects each further line. The thread
//!   ignores such errors, so [`LineBatch`] drops and counts these lines.
//! - The guard of tracing-appender prints to standard output if the queue stays full. While nothing
//!   reads that, the guard never returns, so it is dropped on a thread that the process does not
//!   wait for. If the queue is still full after 100 ms, that line of plain text may reach a reader.
//!
//! # Tests
//! `unread_log_does_not_block_requests` in `tests/process/logging.rs`; here
//! `writes_lines_of_one_interval_together`, `counts_lines_that_cannot_be_written` and
//! `flush_ends_at_limit_while_nothing_reads`.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Time to wait for more lines before a write.
const COALESCE_INTERVAL: Duration = Duration::from_millis(10);

/// Lines written together at most.
const BATCH_SIZE: u64 = 256;

/// The queue, and the thread that empties it.
pub(super) struct LogWriter {
    queue: NonBlocking,
    /// Lines that could not be written.
    failed: Arc<AtomicU64>,
    guard: Mutex<Option<WorkerGuard>>,
}

impl LogWriter {
    /// Starts the thread that writes to `out`. Up to `capacity` lines wait for it.
    pub(super) fn start(out: impl Write + Send + 'static, capacity: usize) -> Self {
        let failed = Arc::<AtomicU64>::default();
        let batch = LineBatch {
            out,
            lines: Vec::new(),
            count: 0,
            failed: Arc::clone(&failed),
        };
        let (queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(capacity)
            .thread_name("log")
            .finish(batch);
        Self {
            queue,
            failed,
            guard: Mutex::new(Some(guard)),
        }
    }

    /// Returns a handle that takes lines and never blocks.
    pub(super) fn queue(&self) -> NonBlocking {
        self.queue.clone()
    }

    /// Returns the number of lines that found the queue full or could not be written.
    pub(super) fn dropped_lines(&self) -> u64 {
        let rejected = self.queue.error_counter().dropped_lines();
        let failed = self.failed.load(Ordering::Relaxed);
        failed.saturating_add(u64::try_from(rejected).unwrap_or(u64::MAX))
    }

    /// Ends the thread once all queued lines are written. Waits for that up to `limit`.
    pub(super) fn flush_within(&self, limit: Duration) {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(guard) = guard.take() else {
            return;
        };
        let (sender, flushed) = channel::<()>();
        thread::spawn(move || {
            drop(guard);
            drop(sender);
        });
        let _flushed_or_timed_out = flushed.recv_timeout(limit);
    }
}

/// Collects lines and writes them together.
struct LineBatch<W> {
    out: W,
    lines: Vec<u8>,
    count: u64,
    failed: Arc<AtomicU64>,
}

impl<W: Write> LineBatch<W> {
    fn send(&mut self) {
        let written = self
            .out
            .write_all(&self.lines)
            .and_then(|()| self.out.flush());
        if written.is_err() {
            self.failed.fetch_add(self.count, Ordering::Relaxed);
        }
        self.lines.clear();
        self.count = 0;
    }
}

/// One `write` is one line: so the formatting layer calls it.
impl<W: Write> Write for LineBatch<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        self.count += 1;
        if self.count == BATCH_SIZE {
            self.send();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.count > 0 {
            thread::sleep(COALESCE_INTERVAL);
            self.send();
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender};
    use std::time::Instant;

    /// Far longer than the test takes, if it passes.
    const LONG: Duration = Duration::from_secs(30);

    type Written = Arc<Mutex<Vec<u8>>>;

    /// Writes nothing until the test drops the other end.
    struct BlockedWriter {
        allowed: Receiver<()>,
        written: Written,
    }

    impl Write for BlockedWriter {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            let _dropped = self.allowed.recv();
            self.written.lock().unwrap().write(lines)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn blocked_writer(capacity: usize) -> (LogWriter, Sender<()>, Written) {
        let (allow, allowed) = channel();
        let written = Written::default();
        let out = BlockedWriter {
            allowed,
            written: Arc::clone(&written),
        };
        (LogWriter::start(out, capacity), allow, written)
    }

    fn write_lines(writer: &LogWriter, count: u64) {
        for line in 0..count {
            writer
                .queue()
                .write_all(format!("{line}\n").as_bytes())
                .unwrap();
        }
    }

    #[test]
    fn drops_and_counts_lines_when_queue_is_full() {
        let (writer, allow, written) = blocked_writer(2);
        write_lines(&writer, 1000);
        let dropped = writer.dropped_lines();
        let max_accepted = BATCH_SIZE + 2;
        assert!(
            dropped >= 1000 - max_accepted,
            "a batch in hand, and two wait: {dropped}"
        );
        drop(allow);
        writer.flush_within(LONG);
        let written = written.lock().unwrap();
        assert!(written.starts_with(b"0\n"), "{written:?}");
        let lines = written.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines as u64, 1000 - dropped);
    }

    #[test]
    fn flush_waits_for_last_line() {
        let (writer, allow, written) = blocked_writer(9);
        write_lines(&writer, 2);
        drop(allow);
        writer.flush_within(LONG);
        assert_eq!(*written.lock().unwrap(), b"0\n1\n");
    }

    /// The guard of tracing-appender waits for a second.
    #[test]
    fn flush_ends_at_limit_while_nothing_reads() {
        let (writer, _allow, written) = blocked_writer(9);
        write_lines(&writer, 2);
        let started = Instant::now();
        writer.flush_within(Duration::from_millis(1));
        assert!(started.elapsed() < Duration::from_secs(1));
        assert!(written.lock().unwrap().is_empty());
    }

    /// Counts writes, and fails them all if told to.
    struct CountingWriter {
        writes: Arc<AtomicU64>,
        fails: bool,
    }

    impl Write for CountingWriter {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.writes.fetch_add(1, Ordering::Relaxed);
            match self.fails {
                true => Err(io::ErrorKind::BrokenPipe.into()),
                false => Ok(lines.len()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn counting_writer(fails: bool) -> (LogWriter, Arc<AtomicU64>) {
        let writes = Arc::<AtomicU64>::default();
        let out = CountingWriter {
            writes: Arc::clone(&writes),
            fails,
        };
        (LogWriter::start(out, 8192), writes)
    }

    #[test]
    fn writes_lines_of_one_interval_together() {
        let (writer, writes) = counting_writer(false);
        let started = Instant::now();
        let mut lines = 0;
        while started.elapsed() < 10 * COALESCE_INTERVAL {
            write_lines(&writer, 1);
            lines += 1;
            thread::yield_now();
        }
        writer.flush_within(LONG);
        let intervals = started.elapsed().as_millis() / COALESCE_INTERVAL.as_millis();
        let max_writes = intervals as u64 + lines / BATCH_SIZE + 1;
        let writes = writes.load(Ordering::Relaxed);
        assert!(writes <= max_writes, "{lines} lines took {writes} writes");
    }

    #[test]
    fn counts_lines_that_cannot_be_written() {
        let (writer, _writes) = counting_writer(true);
        write_lines(&writer, 1000);
        writer.flush_within(LONG);
        assert_eq!(writer.dropped_lines(), 1000);
    }
}
