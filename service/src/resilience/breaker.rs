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
//! - *Open*: calls are refused, and told when to come back.
//! - *Half-open*: only some probes pass: who just came back is not to be run over.
//!
//! What counts as a failure, the caller knows: a declined card is an answer.
//! See it break: the tests below, on a paused clock; the drill `gateway_down`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use super::breaker_state::BreakerState;
use super::window::{Outcome, Window};
use crate::config::BreakerConfig;
use crate::telemetry::metrics::BreakerMetrics;

/// No call: the breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub(crate) struct Refused {
    /// When a probe may pass.
    pub(crate) retry_after: Duration,
}

/// A circuit breaker for one dependency. Clones are the same breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

struct Shared {
    name: &'static str,
    metrics: BreakerMetrics,
    inner: Mutex<Inner>,
}

struct Inner {
    config: BreakerConfig,
    phase: Phase,
    /// Counts the transitions: a call that began before the last one is not counted.
    epoch: u64,
}

enum Phase {
    Closed(Window),
    Open { until: Instant },
    HalfOpen { under_way: u32, succeeded: u32 },
}

impl Breaker {
    /// A closed breaker for the dependency `name`.
    pub fn new(name: &'static str, config: BreakerConfig, metrics: BreakerMetrics) -> Self {
        metrics.state.with_label_values(&[name]).set(0);
        let phase = Phase::Closed(Window::new(config.window));
        Self(Arc::new(Shared {
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
        if let Phase::Closed(window) = &mut inner.phase
            && config.window != window.length()
        {
            *window = Window::new(config.window);
        }
        // Enough under the new rule is enough now: no further probe may come to tell.
        if matches!(inner.phase, Phase::HalfOpen { succeeded, .. } if succeeded >= config.half_open_calls) {
            self.enter(&mut inner, Phase::Closed(Window::new(config.window)));
        }
        inner.config = config;
    }

    /// Where it stands now. The gauge is told: nobody calls on a quiet night, and it
    /// would go on saying "open", and the alert with it, until somebody does.
    pub(crate) fn state(&self) -> BreakerState {
        let inner = self.lock();
        let state = match inner.phase {
            Phase::Closed(_) => BreakerState::Closed,
            Phase::Open { until } if Instant::now() < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        };
        self.show(state);
        state
    }

    /// Asks to make one call. The permit must be told what came of it; one that is
    /// dropped instead (the caller gave up) counts for nothing.
    ///
    /// # Errors
    /// [`Refused`] while open, or half-open with all probes under way.
    pub(crate) fn try_acquire(&self) -> Result<Permit, Refused> {
        let now = Instant::now();
        let mut inner = self.lock();
        if matches!(inner.phase, Phase::Open { until } if now >= until) {
            self.enter(&mut inner, Phase::half_open());
        }
        let probes = inner.config.half_open_calls;
        let refused_for = match &mut inner.phase {
            Phase::Closed(_) => None,
            Phase::Open { until } => Some(*until - now),
            Phase::HalfOpen {
                under_way,
                succeeded,
            } if *under_way + *succeeded < probes => {
                *under_way += 1;
                None
            }
            Phase::HalfOpen { .. } => Some(Duration::from_secs(1)),
        };
        if let Some(retry_after) = refused_for {
            self.count("refused");
            return Err(Refused { retry_after });
        }
        Ok(Permit {
            breaker: self.clone(),
            epoch: inner.epoch,
            began: now,
            told: false,
        })
    }

    /// How many calls would be let through right now; `None` means any number.
    pub(crate) fn room(&self) -> Option<u32> {
        let inner = self.lock();
        match &inner.phase {
            Phase::Closed(_) => None,
            Phase::Open { until } if Instant::now() < *until => Some(0),
            Phase::Open { .. } => Some(inner.config.half_open_calls),
            Phase::HalfOpen {
                under_way,
                succeeded,
            } => Some(inner.config.half_open_calls.saturating_sub(under_way + succeeded)),
        }
    }

    fn conclude(&self, permit: &Permit, verdict: Option<Verdict>) {
        let mut inner = self.lock();
        let took = permit.began.elapsed();
        let outcome = verdict.map(|verdict| match verdict {
            Verdict::Failure => Outcome::Failure,
            Verdict::Success if took >= inner.config.slow_call_duration_threshold => Outcome::Slow,
            Verdict::Success => Outcome::Success,
        });
        if let Some(outcome) = outcome {
            self.count(outcome.as_str());
        }
        if permit.epoch != inner.epoch {
            return;
        }
        let Inner { config, phase, .. } = &mut *inner;
        let next = match (phase, outcome) {
            (Phase::Closed(window), Some(outcome)) => {
                window.record(outcome);
                let opens = window.calls() >= config.minimum_calls
                    && (window.failure_share() >= config.failure_rate_threshold
                        || window.slow_share() >= config.slow_call_rate_threshold);
                opens.then(|| Phase::open(config))
            }
            (
                Phase::HalfOpen {
                    succeeded,
                    under_way,
                },
                Some(Outcome::Success),
            ) => {
                *under_way -= 1;
                *succeeded += 1;
                (*succeeded >= config.half_open_calls).then(|| Phase::Closed(Window::new(config.window)))
            }
            (Phase::HalfOpen { .. }, Some(_)) => Some(Phase::open(config)),
            (Phase::HalfOpen { under_way, .. }, None) => {
                *under_way -= 1;
                None
            }
            (Phase::Closed(_), None) | (Phase::Open { .. }, _) => None,
        };
        if let Some(next) = next {
            self.enter(&mut inner, next);
        }
    }

    fn enter(&self, inner: &mut Inner, phase: Phase) {
        inner.epoch += 1;
        inner.phase = phase;
        let state = match inner.phase {
            Phase::Closed(_) => BreakerState::Closed,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
            Phase::Open { .. } => BreakerState::Open,
        };
        self.show(state);
        tracing::warn!(
            breaker = self.0.name,
            state = state.as_str(),
            "the breaker changed"
        );
    }

    fn show(&self, state: BreakerState) {
        let gauge = self.0.metrics.state.with_label_values(&[self.0.name]);
        gauge.set(state as i64);
    }

    fn count(&self, outcome: &str) {
        let labels = &[self.0.name, outcome];
        self.0.metrics.calls.with_label_values(labels).inc();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    fn open(config: &BreakerConfig) -> Self {
        let until = Instant::now() + config.open_duration;
        Self::Open { until }
    }

    fn half_open() -> Self {
        let (under_way, succeeded) = (0, 0);
        Self::HalfOpen {
            under_way,
            succeeded,
        }
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Success,
    Failure,
}

/// One call that may be made.
#[must_use = "the breaker must be told what came of the call"]
pub(crate) struct Permit {
    breaker: Breaker,
    epoch: u64,
    began: Instant,
    told: bool,
}

impl Permit {
    /// The dependency answered, whatever it said.
    pub(crate) fn succeed(mut self) {
        self.told = true;
        self.breaker.conclude(&self, Some(Verdict::Success));
    }

    /// The dependency did not answer, or said that it can't.
    pub(crate) fn fail(mut self) {
        self.told = true;
        self.breaker.conclude(&self, Some(Verdict::Failure));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.conclude(self, None);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
#[path = "breaker_tests.rs"]
mod tests;
