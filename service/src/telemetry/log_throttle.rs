//! Limits a log line that clients can repeat.
//!
//! A client that can make the service log a line for each of its requests fills the disk and hides every other line.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one line a second pass and counts the others.
#[derive(Default)]
pub(crate) struct LogThrottle(Mutex<Option<State>>);

struct State {
    logged_at: Instant,
    suppressed: u64,
}

impl LogThrottle {
    /// Returns the number of lines suppressed since the last one if the caller may log now.
    pub(crate) fn next(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let suppressed = match &mut *state {
            None => 0,
            Some(state) if state.logged_at.elapsed() < INTERVAL => {
                state.suppressed += 1;
                return None;
            }
            Some(state) => state.suppressed,
        };
        *state = Some(State {
            logged_at: Instant::now(),
            suppressed: 0,
        });
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_one_line_a_second_and_counts_others() {
        let throttle = LogThrottle::default();
        assert_eq!(throttle.next(), Some(0));
        assert_eq!([throttle.next(), throttle.next()], [None, None]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.next(), Some(2));
        assert_eq!(throttle.next(), None);
    }
}
