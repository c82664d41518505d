//! The circuit breaker: stop asking somebody who can't answer.
//!
//! A dependency that is down costs each caller a whole timeout, and all of them
//! together keep it down. A breaker watches the calls and, when too many fail or
//! are slow, refuses further ones at once (M. Nygard, "Release It!", 2nd edition,
//! section 5.2):
//!
//! ```text
//!           too many failures or slow calls            open_duration over
//!  closed ----------------------------------> open ---------------------> half-open
//!    ^                                         ^                           |     |
//!    |              a probe fails or is slow   +---------------------------+     |
//!    +---------------------------------------------------------------------------+
//!                            all probes succeed
//! ```
//!
//! - *Closed*: calls pass and are counted over a sliding window of time.
//! - *Open*: calls are refused.
//! - *Half-open*: only some probes pass: who just came back is not to be run over.
//!
//! What counts as a failure, the caller knows: a declined card is an answer.
//! See it break: the tests below, on a paused clock; the drill `gateway_down`.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

pub(crate) use super::breaker_state::BreakerState;
use super::mutex::lock;
use super::sliding_window::{CallOutcome, Window};
use crate::config::BreakerConfig;
use crate::telemetry::metrics::BreakerMetrics;

/// No call: the breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub(crate) struct CircuitOpen;

/// A circuit breaker for one dependency. Clones are the same breaker.
#[derive(Clone)]
pub struct Breaker(Arc<BreakerShared>);

struct BreakerShared {
    name: &'static str,
    metrics: BreakerMetrics,
    inner: Mutex<Inner>,
}

struct Inner {
    config: BreakerConfig,
    phase: BreakerPhase,
    /// Counts the transitions: a call that began before the last one is not counted.
    epoch: u64,
}

enum BreakerPhase {
    Closed(Window),
    Open { until: Instant },
    HalfOpen { in_flight: u32, succeeded: u32 },
}

impl Breaker {
    /// A closed breaker for the dependency `name`.
    pub fn new(name: &'static str, config: BreakerConfig, metrics: BreakerMetrics) -> Self {
        metrics.breaker_state.with_label_values(&[name]).set(0);
        let phase = BreakerPhase::Closed(Window::new(config.window));
        Self(Arc::new(BreakerShared {
            name,
            metrics,
            inner: Mutex::new(Inner {
                config,
                phase,
                epoch: 0,
            }),
        }))
    }

    /// Uses other thresholds from now on; what was counted stays unless the
    /// length of the window changed.
    pub(crate) fn reconfigure(&self, config: BreakerConfig) {
        let mut inner = self.lock();
        if let BreakerPhase::Closed(window) = &mut inner.phase
            && config.window != window.length()
        {
            *window = Window::new(config.window);
        }
        // Enough under the new rule is enough now: no further probe may come to tell.
        if matches!(inner.phase, BreakerPhase::HalfOpen { succeeded, .. } if succeeded >= config.half_open_calls)
        {
            self.transition_to(&mut inner, BreakerPhase::Closed(Window::new(config.window)));
        }
        inner.config = config;
    }

    /// Where it stands now. The gauge is told: nobody calls on a quiet night, and it
    /// would go on saying "open", and the alert with it, until somebody does.
    pub(crate) fn state(&self) -> BreakerState {
        let inner = self.lock();
        let state = inner.phase.state();
        self.update_gauge(state);
        state
    }

    /// Asks to make one call. The permit must be told what came of it; one that is
    /// dropped instead (the caller gave up) counts for nothing.
    ///
    /// # Errors
    /// Returns [`CircuitOpen`] while open, or half-open with all probes in flight.
    pub(crate) fn try_acquire(&self) -> Result<Permit, CircuitOpen> {
        let now = Instant::now();
        let mut inner = self.lock();
        if matches!(inner.phase, BreakerPhase::Open { until } if now >= until) {
            self.transition_to(&mut inner, BreakerPhase::half_open());
        }
        let max_probes = inner.config.half_open_calls;
        let is_allowed = match &mut inner.phase {
            BreakerPhase::Closed(_) => true,
            BreakerPhase::HalfOpen {
                in_flight,
                succeeded,
            } if *in_flight + *succeeded < max_probes => {
                *in_flight += 1;
                true
            }
            BreakerPhase::Open { .. } | BreakerPhase::HalfOpen { .. } => false,
        };
        if !is_allowed {
            self.count("rejected");
            return Err(CircuitOpen);
        }
        Ok(Permit {
            breaker: self.clone(),
            epoch: inner.epoch,
            began: now,
            is_reported: false,
        })
    }

    /// How many calls would be let through right now; `None` means any number.
    pub(crate) fn available_permits(&self) -> Option<u32> {
        let inner = self.lock();
        match &inner.phase {
            BreakerPhase::Closed(_) => None,
            BreakerPhase::Open { until } if Instant::now() < *until => Some(0),
            BreakerPhase::Open { .. } => Some(inner.config.half_open_calls),
            BreakerPhase::HalfOpen {
                in_flight,
                succeeded,
            } => Some(
                inner
                    .config
                    .half_open_calls
                    .saturating_sub(in_flight + succeeded),
            ),
        }
    }

    fn record_result(&self, permit: &Permit, reported: Option<ReportedResult>) {
        let mut inner = self.lock();
        let elapsed = permit.began.elapsed();
        let outcome = reported.map(|result| match result {
            ReportedResult::Failure => CallOutcome::Failure,
            ReportedResult::Success if elapsed >= inner.config.slow_call_duration_threshold => {
                CallOutcome::Slow
            }
            ReportedResult::Success => CallOutcome::Success,
        });
        if let Some(outcome) = outcome {
            self.count(outcome.as_str());
        }
        if permit.epoch != inner.epoch {
            return;
        }
        let Inner { config, phase, .. } = &mut *inner;
        let next = match (phase, outcome) {
            (BreakerPhase::Closed(window), Some(outcome)) => {
                window.record(outcome);
                let opens = window.calls() >= config.minimum_calls
                    && (window.failure_rate() >= config.failure_rate_threshold
                        || window.slow_rate() >= config.slow_call_rate_threshold);
                opens.then(|| BreakerPhase::open(config))
            }
            (
                BreakerPhase::HalfOpen {
                    succeeded,
                    in_flight,
                },
                Some(CallOutcome::Success),
            ) => {
                *in_flight -= 1;
                *succeeded += 1;
                (*succeeded >= config.half_open_calls)
                    .then(|| BreakerPhase::Closed(Window::new(config.window)))
            }
            (BreakerPhase::HalfOpen { .. }, Some(_)) => Some(BreakerPhase::open(config)),
            (BreakerPhase::HalfOpen { in_flight, .. }, None) => {
                *in_flight -= 1;
                None
            }
            (BreakerPhase::Closed(_), None) | (BreakerPhase::Open { .. }, _) => None,
        };
        if let Some(next) = next {
            self.transition_to(&mut inner, next);
        }
    }

    fn transition_to(&self, inner: &mut Inner, phase: BreakerPhase) {
        inner.epoch += 1;
        inner.phase = phase;
        let state = inner.phase.state();
        self.update_gauge(state);
        tracing::warn!(
            breaker = self.0.name,
            state = state.as_str(),
            "the breaker changed"
        );
    }

    fn update_gauge(&self, state: BreakerState) {
        let gauge = self
            .0
            .metrics
            .breaker_state
            .with_label_values(&[self.0.name]);
        gauge.set(state as i64);
    }

    fn count(&self, outcome: &str) {
        let labels = &[self.0.name, outcome];
        self.0.metrics.breaker_calls.with_label_values(labels).inc();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0.inner)
    }
}

impl BreakerPhase {
    fn open(config: &BreakerConfig) -> Self {
        let until = Instant::now() + config.open_duration;
        Self::Open { until }
    }

    fn state(&self) -> BreakerState {
        match self {
            Self::Closed(_) => BreakerState::Closed,
            Self::Open { until } if Instant::now() < *until => BreakerState::Open,
            Self::Open { .. } | Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn half_open() -> Self {
        let (in_flight, succeeded) = (0, 0);
        Self::HalfOpen {
            in_flight,
            succeeded,
        }
    }
}

#[derive(Clone, Copy)]
enum ReportedResult {
    Success,
    Failure,
}

/// One call that may be made.
#[must_use = "the breaker must be told what came of the call"]
pub(crate) struct Permit {
    breaker: Breaker,
    epoch: u64,
    began: Instant,
    is_reported: bool,
}

impl Permit {
    /// The dependency answered, whatever it said.
    pub(crate) fn succeed(mut self) {
        self.is_reported = true;
        self.breaker
            .record_result(&self, Some(ReportedResult::Success));
    }

    /// The dependency did not answer, or said that it can't.
    pub(crate) fn fail(mut self) {
        self.is_reported = true;
        self.breaker
            .record_result(&self, Some(ReportedResult::Failure));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_reported {
            self.breaker.record_result(self, None);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
#[path = "breaker_tests.rs"]
mod tests;
