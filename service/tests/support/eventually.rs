//! Waiting for something to become true, with a deadline, never a sleep and a hope.

use std::time::{Duration, Instant};

/// Long enough for a loaded machine; reached only when the test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again until `probe` gives a value, and panics with `what` if it
/// does not in time.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(began.elapsed() < DEADLINE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
