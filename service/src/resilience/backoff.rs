//! How long to wait before trying again.
//!
//! A dependency that failed under load is not helped by everybody asking again
//! at once, a second later. So the wait doubles with each try, up to a cap, and
//! is then picked at random from zero to that ("full jitter": M. Brooker,
//! "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), which spreads
//! the crowd out.

use std::time::Duration;

/// Exponential backoff with full jitter.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The most to wait before the second try.
    pub base: Duration,
    /// The most to wait ever.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after try number `attempt`, from 1; `random` is from 0 to 1.
    pub(crate) fn delay(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let max = self.base.saturating_mul(1 << doublings).min(self.cap);
        max.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(500),
        cap: Duration::from_secs(60),
    };

    #[test]
    fn maximum_delay_doubles_up_to_cap() {
        let max_millis = |attempt| BACKOFF.delay(attempt, 1.0).as_millis();
        assert_eq!(
            [1, 2, 3, 7, 8, 99].map(max_millis),
            [500, 1000, 2000, 32_000, 60_000, 60_000]
        );
    }

    proptest! {
        #[test]
        fn delay_never_exceeds_cap(attempt: u32, random: f64) {
            prop_assert!(BACKOFF.delay(attempt, random) <= BACKOFF.cap);
        }
    }
}
