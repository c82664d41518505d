//! Counting calls over a sliding window of time, in bounded memory.
//!
//! The window is cut into slots, and the oldest is forgotten as a whole: a call
//! counts for between nine and ten tenths of the window.

use std::time::Duration;

use tokio::time::Instant;

const SLOTS: usize = 10;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered in time.
    Success,
    /// Answered, but slowly.
    Slow,
    /// Not answered.
    Failure,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Slow => "slow",
            Self::Failure => "failure",
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Slot {
    calls: u32,
    failed: u32,
    slow: u32,
}

/// The calls of the last `length`.
pub(super) struct Window {
    slots: [Slot; SLOTS],
    slot_length: Duration,
    began: Instant,
    /// The number of the slot that is being filled, counted from `began`.
    current: u64,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            slots: [Slot::default(); SLOTS],
            slot_length: length / SLOTS as u32,
            began: Instant::now(),
            current: 0,
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.slot_length * SLOTS as u32
    }

    pub(super) fn record(&mut self, outcome: Outcome) {
        self.forget();
        let slot = &mut self.slots[(self.current % SLOTS as u64) as usize];
        slot.calls += 1;
        slot.failed += u32::from(outcome == Outcome::Failure);
        slot.slow += u32::from(outcome == Outcome::Slow);
    }

    pub(super) fn calls(&self) -> u32 {
        self.slots.iter().map(|slot| slot.calls).sum()
    }

    pub(super) fn failure_share(&self) -> f64 {
        self.share(|slot| slot.failed)
    }

    pub(super) fn slow_share(&self) -> f64 {
        self.share(|slot| slot.slow)
    }

    fn share(&self, of: impl Fn(&Slot) -> u32) -> f64 {
        let part: u32 = self.slots.iter().map(of).sum();
        f64::from(part) / f64::from(self.calls().max(1))
    }

    /// Empties the slots whose time is over.
    fn forget(&mut self) {
        let slot_nanos = self.slot_length.as_nanos().max(1);
        let now = u64::try_from(self.began.elapsed().as_nanos() / slot_nanos).unwrap_or(u64::MAX);
        let passed = now.saturating_sub(self.current).min(SLOTS as u64);
        for n in 1..=passed {
            self.slots[((self.current + n) % SLOTS as u64) as usize] = Slot::default();
        }
        self.current = now;
    }
}
