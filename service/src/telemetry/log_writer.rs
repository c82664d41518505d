//! Log lines leave by a thread of their own.
//!
//! Standard output is a pipe that somebody else empties: a container runtime, journald.
//! When that stalls, the pipe is full after 64 KiB, and whoever writes the next line
//! stands still: one worker in the middle of its requests, soon all of them, and the
//! liveness probe with them. No line is worth that. So lines are queued, one thread
//! writes them, and a line that finds the queue full is dropped and counted in
//! `orderly_log_lines_dropped_total`.
//!
//! What is queued when the process ends has to come out first, or the very lines that
//! say why it ended are lost: [`LogWriter::flush_within`].
//!
//! See it break: `unread_log_does_not_block_requests` in `tests/process/logging.rs`.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::IntCounter;

/// How often [`LogWriter::flush_within`] looks whether all is written.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Lines that come within this time are written together: under load, waking up the thread and
/// writing cost more than making the line did. Nobody waits for more where they queue up anyway.
const COALESCE_INTERVAL: Duration = Duration::from_millis(10);

/// Lines written together at most.
const BATCH_SIZE: usize = 256;

/// Takes lines, and never waits.
pub(super) struct LogWriter {
    queue: SyncSender<Vec<u8>>,
    /// Lines that are queued or being written.
    pending: Arc<AtomicUsize>,
    dropped: IntCounter,
}

impl LogWriter {
    /// Starts the thread that writes to `out`. Up to `capacity` lines wait for it, and
    /// `dropped` counts those that found no place.
    ///
    /// # Errors
    /// Returns an error if the thread can't be started.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        capacity: usize,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(capacity);
        let pending = Arc::<AtomicUsize>::default();
        let pending_lines = Arc::clone(&pending);
        let dropped_lines = dropped.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&lines, out, &pending_lines, &dropped_lines))?;
        Ok(Self {
            queue,
            pending,
            dropped,
        })
    }

    /// Waits until all lines are written, or for `limit` if nobody reads them.
    pub(super) fn flush_within(&self, limit: Duration) {
        let started = Instant::now();
        while self.pending.load(Ordering::Acquire) > 0 && started.elapsed() < limit {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

fn write_all(
    lines: &Receiver<Vec<u8>>,
    mut out: impl Write,
    pending: &AtomicUsize,
    dropped: &IntCounter,
) {
    let mut count = 0;
    while let Ok(mut batch) = lines.recv() {
        if count <= BATCH_SIZE {
            thread::sleep(COALESCE_INTERVAL);
        }
        count = 1;
        for line in lines.try_iter().take(BATCH_SIZE) {
            batch.extend(line);
            count += 1;
        }
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            // There is no other place left where to say so.
            dropped.inc_by(count as u64);
        }
        pending.fetch_sub(count, Ordering::Release);
    }
}

/// One `write` is one line: so the formatting layer calls it.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.pending.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(line.to_vec()).is_err() {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Far longer than the test takes, if it passes.
    const LONG: Duration = Duration::from_secs(30);

    /// Writes nothing until the test drops the other end.
    struct BlockedWriter {
        allowed: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for BlockedWriter {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _dropped = self.allowed.recv();
            self.written.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn blocked_writer(capacity: usize) -> (LogWriter, SyncSender<()>, Arc<Mutex<Vec<u8>>>) {
        let (allow, allowed) = sync_channel(0);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let out = BlockedWriter {
            allowed,
            written: Arc::clone(&written),
        };
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let writer = LogWriter::start(out, capacity, dropped).unwrap();
        (writer, allow, written)
    }

    #[test]
    fn drops_and_counts_lines_when_queue_is_full() {
        let (writer, allow, written) = blocked_writer(2);
        for line in 0..1000 {
            (&writer).write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let dropped = writer.dropped.get();
        let max_accepted = 1 + BATCH_SIZE as u64 + 2;
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
    fn flush_waits_for_last_line_up_to_limit() {
        let (writer, allow, written) = blocked_writer(9);
        (&writer).write_all(b"one\n").unwrap();
        (&writer).write_all(b"two\n").unwrap();
        writer.flush_within(Duration::from_millis(1));
        assert!(written.lock().unwrap().is_empty());
        drop(allow);
        writer.flush_within(LONG);
        assert_eq!(*written.lock().unwrap(), b"one\ntwo\n");
    }
}
